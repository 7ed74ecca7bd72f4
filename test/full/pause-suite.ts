/**
 * Owns: one transaction whose process is stopped (SIGSTOP) at a message until others have ended what it
 * left prepared, and then goes on.
 */
import { eventually } from '../../harness/eventually.ts'
import { recoverAndJudge } from '../crash/crash.ts'
import type { CrashCluster } from '../crash/crash-cluster.ts'
import type { CrashPoint, Fate } from '../crash/crash-points.ts'
import { DoomedProcess, deciderOf } from '../crash/doomed-process.ts'
import type { Scenario } from '../crash/doomed-process.ts'
import { fullId } from '../crash/oracle.ts'
import { assentRecoverer } from '../crash/recoverer.ts'
import type { Golden } from '../crash/transcript.ts'

export interface PausedOwner {
  /** What `outcome()` said at first. */
  readonly whilePaused: string
  /** What its caller was told in the end. */
  readonly told: string | undefined
  readonly disagreements: readonly string[]
}

/** Its time, and the servers' patience beyond it, are over in a few seconds. */
const TIMEOUT_MS = 1_000
const ENDED_MS = 20_000

export async function pauseUntilEnded(
  cluster: CrashCluster,
  { scenario: usual, golden }: { readonly scenario: Scenario; readonly golden: Golden },
  point: CrashPoint,
  fate: Fate,
): Promise<PausedOwner> {
  const scenario = { ...usual, timeoutMs: TIMEOUT_MS }
  await using recoverer = assentRecoverer(cluster)
  let whilePaused = 'nothing'
  const act = (paused: DoomedProcess) =>
    paused.pauseDuring(async () => {
      await recoverer.recover()
      const began = paused.notes.find((note) => note.note === 'began')
      const id = await fullId(cluster, deciderOf(scenario), began?.txid ?? '')
      whilePaused = await recoverer.outcome(id, 0)
      const isEnded = async () => (await cluster.prepared()).length === 0
      await eventually('the sleeper to be recovered', isEnded, { timeoutMs: ENDED_MS })
    })
  await using owner = await DoomedProcess.start(cluster, 'transfer', scenario, { point, act })
  const ending = await owner.run()
  const answer = owner.notes.at(-1)
  const { disagreements } = await recoverAndJudge({ cluster, scenario, golden }, owner, fate)
  const survived = ending === 'exit code 0' ? [] : [`the process ended with ${ending}`]
  return {
    whilePaused,
    told: answer?.note === 'answered' ? answer.outcome : undefined,
    disagreements: [...survived, ...disagreements],
  }
}
