/**
 * Owns: one transaction whose process is stopped (SIGSTOP) at a message until others have ended what it
 * left prepared, and then goes on; and forgetting everything meanwhile.
 */
import { eventually } from '../../harness/eventually.ts'
import { Forgetting } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { recoverAndJudge } from '../crash/crash.ts'
import type { CrashCluster } from '../crash/crash-cluster.ts'
import type { CrashPoint, Fate } from '../crash/crash-points.ts'
import { DoomedProcess, deciderOf } from '../crash/doomed-process.ts'
import type { Scenario } from '../crash/doomed-process.ts'
import { APP } from '../crash/doomed-setting.ts'
import { fullId } from '../crash/oracle.ts'
import { reach } from '../crash/reached.ts'
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
  meanwhile: () => Promise<void> = () => Promise.resolve(),
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
      await meanwhile()
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

const RETENTION_MS = 86_400_000

/**
 * As if it had been stopped for days: the epochs of before are off every list, and the marks that were
 * left are deleted. Rows are made older instead of waiting.
 */
export async function forgetAll(cluster: CrashCluster): Promise<void> {
  const reached = cluster.databases.map(({ name, system, url }) =>
    reach({ name, system, url, max: 1 }),
  )
  const context = { app: APP, world: nodeWorld, retentionMs: RETENTION_MS }
  const participants = new Map(
    reached.map(({ name, definition }) => [name, definition.open({ ...context, name })]),
  )
  const { signal } = new AbortController()
  const setting = { participants, world: nodeWorld, report: () => undefined, signal }
  const forgetting = new Forgetting(APP, setting, RETENTION_MS)
  try {
    const epochs = await Promise.all(cluster.databases.map((each) => each.newestEpoch()))
    await makeOlder(cluster, { mark: 2, epoch: 4 })
    for (const { memory } of participants.values()) await memory.renew(RETENTION_MS)
    await makeOlder(cluster, { epoch: 2 })
    for (const participant of participants.values()) await forgetting.pass(participant)
    for (const [at, { name }] of cluster.databases.entries()) {
      const left = await cluster.database(name).sql<{ id: string }>('SELECT id FROM assent.epoch')
      if (left.some(({ id }) => id === epochs[at])) throw new Error(`${name} has forgotten nothing`)
    }
  } finally {
    await Promise.all([...participants.values()].map((each) => each.close()))
    await Promise.all(reached.map((each) => each.end()))
  }
}

async function makeOlder(
  { databases }: CrashCluster,
  days: Readonly<Partial<Record<'mark' | 'epoch', number>>>,
): Promise<void> {
  for (const database of databases) {
    for (const [table, count] of Object.entries(days)) {
      const column = table === 'mark' ? 'marked_at' : 'opened_at'
      const interval = database.system === 'postgres' ? `'${count} days'` : `${count} DAY`
      await database.sql(`UPDATE assent.${table} SET ${column} = ${column} - INTERVAL ${interval}`)
    }
  }
}
