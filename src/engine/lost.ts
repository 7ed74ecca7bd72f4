/**
 * What a database that was set back has lost: transactions that were applied elsewhere, and whose register
 * has no decision for them.
 *
 * Owns: going through every receipt once, as the background does now and then (`witness.ts`).
 * Promises: a participant that can't be read is named, and hides nothing of the others.
 */
import { formatTransactionId, readGid } from '../protocol/index.ts'
import { Alarms } from './alarms.ts'
import type { Report } from './reports.ts'
import { fromEach } from './standing.ts'
import type { Participants, Unreachable } from './standing.ts'
import { Troubles } from './troubles.ts'
import { lookThroughReceipts } from './witness.ts'

export interface LostDecision {
  readonly transactionId: string
  readonly register: string
  /** Participants that have its receipt. */
  readonly appliedIn: readonly string[]
}

export interface LostDecisions {
  readonly lost: readonly LostDecision[]
  /** Participants that were not gone through: nothing was ever marked there, or they are read-only now. */
  readonly leftOut: readonly string[]
  readonly unreachable: readonly Unreachable[]
}

export async function lostDecisions(
  app: string,
  participants: Participants,
): Promise<LostDecisions> {
  const applied = new Map<string, { readonly register: string; readonly appliedIn: string[] }>()
  const note = (report: Report): void => {
    if (report.type !== 'lost-decision') return
    const reading = readGid(report.gid, app)
    if (reading.kind !== 'ours') return
    const { gid } = reading
    const id = formatTransactionId(gid)
    const known = applied.get(id) ?? { register: gid.register, appliedIn: [] }
    known.appliedIn.push(report.participant)
    applied.set(id, known)
  }
  const troubles = new Troubles()
  const leftOut: string[] = []
  const shared = { app, participants, alarms: new Alarms(app, note, Infinity), troubles }
  const { signal } = new AbortController()
  const { unreachable } = await fromEach(participants, async (participant) => {
    // Says best why it can't be reached, if it can't.
    await participant.listPrepared()
    // Nothing was ever marked where the tables are missing.
    const hasMarks = await participant.memory.hasMarks()
    if (hasMarks) await lookThroughReceipts({ ...shared, participant, signal }, 0)
    else leftOut.push(participant.name)
  })
  const [name, error] = troubles.first ?? []
  const isNamed = unreachable.some(({ participant }) => participant === name)
  if (name !== undefined && !isNamed) unreachable.push({ participant: name, error })
  const lost = [...applied].map(([transactionId, facts]) => ({ transactionId, ...facts }))
  return { lost, leftOut, unreachable }
}
