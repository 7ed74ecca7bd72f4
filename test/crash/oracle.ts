/**
 * Owns: the judgement on one killed transaction, out of plain SQL and what its process had written
 * down.
 * Promises: an empty list means: all or nothing in every database, receipts included, as the kill
 * point demands, no lock left, nothing prepared, and no answer was a lie.
 * Never: imports Assent. The outcomes that Assent told are facts to judge like the others.
 */
import type { CrashCluster } from './crash-cluster.ts'
import type { Database } from './crash-database.ts'
import type { Fate } from './crash-points.ts'
import { APP } from './doomed-setting.ts'
import type { Note } from './doomed-setting.ts'

/** What plain SQL says of one transaction in one database. */
export interface DatabaseFacts {
  readonly name: string
  readonly role: 'writer' | 'reader'
  /** How often the item was taken: 0 or 1. */
  readonly taken: number
  /** The decision in its mark. */
  readonly mark: string | undefined
  readonly locked: boolean
}

export interface Facts {
  readonly databases: readonly DatabaseFacts[]
  /** What is prepared, anywhere. */
  readonly prepared: readonly string[]
  readonly notes: readonly Note[]
  /** What Assent answers for the full id, and for the bare `tx.id`. */
  readonly outcome: string
  readonly bareOutcome: string
  readonly alarms: readonly string[]
}

export function disagreements(facts: Facts, fate: Fate): readonly string[] {
  const isCommitted = fate === 'committed'
  const found: string[] = facts.databases.flatMap((each) => judgeDatabase(each, isCommitted))
  found.push(...facts.prepared.map((gid) => `still prepared: ${gid}`))
  found.push(...facts.notes.flatMap((note) => judgeNote(note, fate)))
  if (facts.outcome !== fate) found.push(`outcome(id) says ${facts.outcome}, it is ${fate}`)
  // Without its register, an id that nobody committed says nothing (rule 7).
  const bare = isCommitted ? 'committed' : 'unknown: not-found'
  if (facts.bareOutcome !== bare)
    found.push(`outcome(tx.id) says ${facts.bareOutcome}, not ${bare}`)
  found.push(...facts.alarms.map((alarm) => `alarm: ${alarm}`))
  return found
}

function judgeDatabase(
  { name, role, taken, mark, locked }: DatabaseFacts,
  isCommitted: boolean,
): readonly string[] {
  const isDone = isCommitted && role === 'writer'
  const found: string[] = []
  const times = isDone ? 1 : 0
  if (taken !== times) found.push(`${name}: the item was taken ${taken} times, expected ${times}`)
  const decision = isDone ? 'commit' : undefined
  if (mark !== decision) found.push(`${name}: mark ${String(mark)}, expected ${String(decision)}`)
  if (locked) found.push(`${name}: the item is still locked`)
  return found
}

function judgeNote(note: Note, fate: Fate): readonly string[] {
  if (note.note !== 'answered' || note.outcome === 'unknown' || note.outcome === fate) return []
  return [`the process was answered ${note.outcome} (${note.error ?? ''}), it is ${fate}`]
}

/** Reads one database by plain SQL. */
export async function readDatabase(
  database: Database,
  role: 'writer' | 'reader',
  item: string,
  txid: string,
): Promise<DatabaseFacts> {
  const { amount, isLocked } = await database.stateOf(item)
  const mark = await database.markOf(txid)
  return { name: database.name, role, taken: 1 - amount, mark, locked: isLocked }
}

/**
 * The id that names the register, as `error.transactionId` would: for a process that died before
 * anybody was told it, the epoch is the one that its register lists.
 */
export async function fullId(
  cluster: CrashCluster,
  decider: string,
  txid: string,
): Promise<string> {
  const epoch = await cluster.database(decider).newestEpoch()
  return ['A1', APP, decider, epoch ?? 'no epoch', txid].join('.')
}
