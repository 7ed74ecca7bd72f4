/**
 * Owns: one crash from beginning to end: a process that dies at a point, another one that recovers,
 * and the judgement.
 * Promises: never reports a crash as survived that did not happen where it was meant to.
 */
import { eventually } from '../../harness/eventually.ts'
import type { CrashCluster } from './crash-cluster.ts'
import { fateAt, isOwnDeath } from './crash-points.ts'
import type { CrashPoint, Fate } from './crash-points.ts'
import { phaseOf } from './message-names.ts'
import { disagreements, fullId, readDatabase } from './oracle.ts'
import { DoomedProcess, deciderOf } from './doomed-process.ts'
import type { Scenario, Strike } from './doomed-process.ts'
import { assentRecoverer } from './recoverer.ts'
import type { Recoverer, RecovererOf } from './recoverer.ts'
import { sorted } from './transcript.ts'
import type { Golden, WireEvent } from './transcript.ts'

export interface CrashSetting {
  readonly cluster: CrashCluster
  readonly scenario: Scenario
  readonly golden: Golden
  readonly act?: NonNullable<Strike['act']>
  readonly recovererOf?: RecovererOf
  readonly recoveryMs?: number
}

export interface Crash {
  readonly point: CrashPoint
  readonly fate: Fate
  /** Whether the process died where it was meant to. */
  readonly hit: boolean
  /** The participants with a prepared branch, right after the process had died. */
  readonly leftPrepared: readonly string[]
  /** What the process had been answered, if anything. */
  readonly answered: string | undefined
  /** From the process' end until nothing of it was left. */
  readonly recoveredMs: number
  readonly disagreements: readonly string[]
  /** The participants of which the one who recovered said that it found the decider prepared. */
  readonly foundPrepared: readonly string[]
}

const RECOVERY_MS = 15_000

export async function crash(setting: CrashSetting, point: CrashPoint): Promise<Crash> {
  const { cluster, scenario, golden, act } = setting
  const strike = act === undefined ? { point } : { point, act }
  await using owner = await DoomedProcess.start(cluster, 'transfer', scenario, strike)
  const ending = await owner.run()
  const leftPrepared = (await cluster.prepared()).map((listed) => listed.split(' ')[0] ?? '')
  const fate = fateAt(point, golden.messages)
  const aftermath = await recoverAndJudge(setting, owner, fate)
  const answer = owner.notes.find((note) => note.note === 'answered')
  const misses = missesOf(owner, ending, point, golden)
  return {
    ...{ point, fate, leftPrepared },
    recoveredMs: aftermath.recoveredMs,
    foundPrepared: aftermath.foundPrepared,
    answered: answer?.outcome,
    hit: misses.length === 0,
    disagreements: [...misses, ...aftermath.disagreements],
  }
}

/** Recovers what a process left behind, by another one, and judges what has become of it. */
export async function recoverAndJudge(
  setting: CrashSetting,
  owner: DoomedProcess,
  fate: Fate,
): Promise<Pick<Crash, 'recoveredMs' | 'disagreements' | 'foundPrepared'>> {
  const { cluster, scenario, recovererOf = assentRecoverer } = setting
  const diedAt = performance.now()
  await using recoverer = recovererOf(cluster)
  const stuck = await recoverAll(setting, owner, recoverer)
  const recoveredMs = Math.round(performance.now() - diedAt)
  const began = owner.notes.find((note) => note.note === 'began')
  const txid = began?.txid ?? 'it never began'
  const roles = rolesIn(scenario)
  const databases = await Promise.all(
    cluster.databases.map((each) =>
      readDatabase(each, roles.get(each.name) ?? 'reader', owner.item, txid),
    ),
  )
  const prepared = await cluster.prepared()
  const id = await fullId(cluster, deciderOf(scenario), txid)
  const facts = {
    ...{ databases, prepared, notes: owner.notes, alarms: recoverer.alarms },
    outcome: await recoverer.outcome(id),
    bareOutcome: await recoverer.outcome(txid),
  }
  const printed = owner.errors === '' ? [] : [`the process printed: ${owner.errors}`]
  return {
    ...{ recoveredMs, foundPrepared: recoverer.foundPrepared },
    disagreements: [...stuck, ...disagreements(facts, fate), ...printed],
  }
}

/** Tries until no session and no prepared branch is left. Returns what was wrong, if it was. */
async function recoverAll(
  { cluster, recoveryMs = RECOVERY_MS }: CrashSetting,
  owner: DoomedProcess,
  recoverer: Recoverer,
): Promise<readonly string[]> {
  const isOver = async (): Promise<boolean> => {
    await recoverer.recover()
    // In this order: a session that is left may prepare something yet.
    if (await owner.isConnected()) return false
    return (await cluster.prepared()).length === 0
  }
  try {
    await eventually('nothing to be left', isOver, { timeoutMs: recoveryMs })
    return []
  } catch (error) {
    return [`recovery: ${(error as Error).message}`]
  }
}

function rolesIn({ writes, reads }: Scenario): ReadonlyMap<string, 'writer' | 'reader'> {
  return new Map([
    ...writes.map((name) => [name, 'writer'] as const),
    ...reads.map((name) => [name, 'reader'] as const),
  ])
}

/** Why the process did not die where it was meant to. The witness is what passed the proxies. */
export function missesOf(
  doomed: DoomedProcess,
  ending: string,
  point: CrashPoint,
  golden: Golden,
): readonly string[] {
  const misses: string[] = []
  if (ending !== 'SIGKILL') misses.push(`the process ended with ${ending}, expected SIGKILL`)
  const noted = doomed.notes.some(
    ({ note, ...rest }) =>
      note === 'dies' && JSON.stringify(rest) === JSON.stringify({ at: point }),
  )
  if (isOwnDeath(point) && !noted) misses.push('the process did not note that it dies there')
  const passed = sorted(doomed.events).map(lineOf)
  const expected = expectedLines(point, golden)
  const phase = phaseOf(point.message)
  // What leaves in parallel with the point may have passed, or not.
  const relevant = passed.filter(
    (line) => phaseOf(line) !== phase || line.startsWith(point.message),
  )
  const length = Math.max(relevant.length, expected.length)
  for (let at = 0; at < length; at += 1) {
    const [here = 'nothing', there = 'nothing'] = [relevant[at], expected[at]]
    if (here !== there) return [...misses, `passed the proxies: ${here}; expected: ${there}`]
  }
  return misses
}

function expectedLines(point: CrashPoint, golden: Golden): readonly string[] {
  const lines = golden.points.map(lineOf)
  const phase = phaseOf(point.message)
  const first = golden.points.findIndex(({ name }) => phaseOf(name) === phase)
  const own = [`${point.message} sent`, `${point.message} answered`]
  const count = {
    'before sent': 0,
    'sent, not processed': 1,
    'processed, not answered': 2,
    answered: 2,
  }
  return [...lines.slice(0, first), ...own.slice(0, count[point.stage])]
}

function lineOf({ name, point }: Pick<WireEvent, 'name' | 'point'>): string {
  return `${name} ${point}`
}

/** One line of the report. */
export function lineOfCrash(crashed: Crash): string {
  const { point, fate, leftPrepared, recoveredMs, hit } = crashed
  return [
    point.message.padEnd(16),
    point.stage.padEnd(24),
    fate.padEnd(10),
    `left prepared: ${leftPrepared.join(', ') || 'nothing'}`.padEnd(32),
    `${recoveredMs} ms`.padStart(8),
    hit && crashed.disagreements.length === 0 ? '' : '  WRONG',
  ].join(' ')
}
