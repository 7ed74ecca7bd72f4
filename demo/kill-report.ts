/**
 * Owns: what every kill hit, and how long it took until nothing of the victim was left.
 * Promises: a kill counts as one that left a branch only if the observer saw it orphaned; commit or
 * abort is read from the ledger of the branch's own database.
 */
import type { Crew, KillKind, Worker } from './crew.ts'
import type { DatabaseKill } from './faults.ts'
import type { Observer, Sighting } from './observer.ts'
import { count, seconds } from './screen.ts'

export interface WorkerKill {
  readonly kind: KillKind
  /** What the victim was doing, as seen right after its exit. */
  readonly hit: 'prepared' | 'transfers' | 'nothing'
  readonly branches: readonly { readonly database: string; readonly end: 'commit' | 'abort' }[]
  /** From SIGKILL to the victim's last prepared branch gone; undefined if there was none. */
  readonly recoveryMs: number | undefined
}

export function workerKills(
  crew: Crew,
  observer: Observer,
  present: ReadonlyMap<string, ReadonlySet<string>>,
): readonly WorkerKill[] {
  const orphans = Map.groupBy(
    observer.sightings.filter(({ isOrphan }) => isOrphan),
    ({ txid }) => crew.ownerOf(txid),
  )
  return crew.killed.map((worker) => {
    const left = orphans.get(worker) ?? []
    const kind = worker.kill?.kind ?? 'random'
    const branches = left.map((sighting) => {
      return { database: sighting.database, end: endOf(sighting, crew, present) }
    })
    return { kind, hit: hitOf(worker, left), branches, recoveryMs: recoveryMsOf(worker, left) }
  })
}

function endOf(
  { txid, database }: Sighting,
  crew: Crew,
  present: ReadonlyMap<string, ReadonlySet<string>>,
): 'commit' | 'abort' {
  const transferId = crew.transferOf(txid)?.transfer.id ?? ''
  return present.get(database)?.has(transferId) === true ? 'commit' : 'abort'
}

function hitOf(worker: Worker, left: readonly Sighting[]): WorkerKill['hit'] {
  if (left.length > 0) return 'prepared'
  const hadWork = [...worker.log.transfers].some(({ answer }) => answer === 'none')
  return hadWork ? 'transfers' : 'nothing'
}

function recoveryMsOf(worker: Worker, left: readonly Sighting[]): number | undefined {
  if (left.length === 0) return undefined
  const goneAt = left.map((sighting) => sighting.goneAt ?? performance.now())
  return Math.max(...goneAt) - (worker.kill?.at ?? 0)
}

/** @param databases those that the branches are counted for one by one */
export function describeWorkerKills(
  kills: readonly WorkerKill[],
  databases: readonly string[],
): readonly string[] {
  const byHit = (hit: WorkerKill['hit']): readonly WorkerKill[] =>
    kills.filter((kill) => kill.hit === hit)
  const prepared = byHit('prepared')
  const ends = (kill: WorkerKill): ReadonlySet<string> =>
    new Set(kill.branches.map(({ end }) => end))
  const only = (end: string): number =>
    prepared.filter((kill) => ends(kill).size === 1 && ends(kill).has(end)).length
  const both = prepared.filter((kill) => ends(kill).size === 2).length
  const branches = prepared.flatMap((kill) => kill.branches)
  const held = databases.map((name) => {
    const here = branches.filter(({ database }) => database === name)
    return `${name} ${count(here.length)}`
  })
  const each = held.length > 0 ? `: ${held.join(', ')}` : ''
  const times = prepared.map(({ recoveryMs }) => recoveryMs ?? 0).sort((a, b) => a - b)
  const row = (label: string, some: readonly WorkerKill[]): string =>
    `  ${label.padEnd(44)}${count(some.length).padStart(6)}   ${kinds(some)}`
  const lines = [
    row('workers killed with SIGKILL', kills),
    row('  left a branch prepared after their exit', prepared),
    row('  in transfers, left nothing prepared', byHit('transfers')),
    row('  starting, or between two transfers', byHit('nothing')),
  ]
  if (prepared.length === 0) return lines
  return [
    ...lines,
    '',
    `  Of the ${count(prepared.length)} that left a branch prepared, other processes recovered`,
    `  ${count(only('commit'))} to commit, ${count(only('abort'))} to abort, ${count(both)} some to ` +
      `the one and some to the other (${count(branches.length)} branches${each}).`,
    `  From SIGKILL to the victim's last branch gone: ` +
      `median ${seconds(median(times))} · slowest ${seconds(times.at(-1) ?? 0)}`,
  ]
}

function kinds(some: readonly WorkerKill[]): string {
  const aimed = some.filter(({ kind }) => kind === 'aimed').length
  return `${count(aimed)} aimed, ${count(some.length - aimed)} at random`
}

export function describeDatabaseKills(kills: readonly DatabaseKill[]): readonly string[] {
  const names = [...Map.groupBy(kills, ({ database }) => database)]
    .map(([name, some]) => `${name} ${some.length}`)
    .join(', ')
  const holding = kills.filter(({ heldBefore }) => heldBefore.length > 0)
  const again = holding.filter(({ seenAfter }) => seenAfter > 0)
  const row = (label: string, some: number, note: string): string =>
    `  ${label.padEnd(44)}${count(some).padStart(6)}   ${note}`.trimEnd()
  return [
    row('databases killed with SIGKILL', kills.length, names),
    row(
      '  while they held a prepared branch',
      holding.length,
      `${count(again.length)} were seen to hold it again after the restart`,
    ),
  ]
}

function median(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}
