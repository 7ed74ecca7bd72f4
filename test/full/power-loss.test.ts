/**
 * The process dies together with servers, as in a power cut, and only the servers come back: the
 * transaction ends the same way everywhere, and what was decided stays decided.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, within } from '../../harness/eventually.ts'
import { missesOf, recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { fateAt, isOwnDeath, isProcessed, label, pointsOf } from '../crash/crash-points.ts'
import type { CrashPoint } from '../crash/crash-points.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { kindOf } from '../crash/message-names.ts'
import { assentRecoverer } from '../crash/recoverer.ts'
import { goldenOfTwo, writesInTwo } from '../crash/two-databases.ts'

const points = pointsOf(goldenOfTwo.messages).filter(
  (point) => !isOwnDeath(point) && !['begin', 'work'].includes(kindOf(point.message)),
)
const setting = { scenario: writesInTwo, golden: goldenOfTwo }
const BLACKOUT_MS = 20_000
let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
})

describe.each([
  ['everything (fault 23)', ['orders', 'stock']],
  ['the process and its decider (fault 22)', ['orders']],
  ['the process and its voter', ['stock']],
] as const)('%s dies', (_what, victims) => {
  for (const point of points) {
    const fate = fateAt(point, goldenOfTwo.messages)
    test(`${fate} in both: at ${label(point)}`, async () => {
      await using owner = await blackOut(point, victims)
      if (victims.length === 1) await tryInVain(point, victims[0])
      for (const name of victims) await cluster.database(name).server.start()
      const judged = await recoverAndJudge({ cluster, ...setting }, owner, fate)
      expect(judged.disagreements).toEqual([])
    })
  }
})

test.each(['SIGKILL', 'SIGSTOP'] as const)(
  'committed in both: the decider and the process die, and who recovers meanwhile gets %s (fault 22)',
  async (signal) => {
    const point = { message: 'orders decide 1', stage: 'processed, not answered' } as const
    await using owner = await blackOut(point, ['orders'])
    // It is in the middle of its question when the decider is back.
    const asks = { message: 'orders ask 1', stage: 'processed, not answered' } as const
    const reached = Promise.withResolvers<undefined>()
    const isOver = Promise.withResolvers<undefined>()
    const act = async (struck: DoomedProcess) => {
      reached.resolve(undefined)
      if (signal === 'SIGKILL') return struck.kill()
      return struck.pauseDuring(async () => {
        await isOver.promise
      })
    }
    await cluster.database('orders').server.start()
    const strike = { point: asks, act }
    await using recoverer = await DoomedProcess.start(cluster, 'recover', writesInTwo, strike)
    const ended = recoverer.run()
    await within('it to ask', reached.promise, BLACKOUT_MS)
    const judged = await recoverAndJudge({ cluster, ...setting }, owner, 'committed')
    isOver.resolve(undefined)
    expect(judged.disagreements).toEqual([])
    expect(await ended).toBe(signal === 'SIGKILL' ? 'SIGKILL' : 'exit code 0')
    expect(await cluster.prepared()).toEqual([])
  },
)

test('the commit path has messages to die at', () => {
  expect(points.map(({ message }) => kindOf(message))).toContain('decide')
})

/** The process and these servers die at once. */
async function blackOut(point: CrashPoint, victims: readonly string[]): Promise<DoomedProcess> {
  const dark = Promise.withResolvers<undefined>()
  const act = async (struck: DoomedProcess) => {
    const verdict = struck.kill()
    await Promise.all(victims.map((name) => cluster.database(name).server.kill()))
    dark.resolve(undefined)
    return verdict
  }
  const owner = await DoomedProcess.start(cluster, 'transfer', writesInTwo, { point, act })
  const ending = await owner.run()
  await within('everything to be dead', dark.promise, BLACKOUT_MS)
  expect(missesOf(owner, ending, point, goldenOfTwo)).toEqual([])
  return owner
}

/** Others look while one server is down: they change nothing that depends on it. */
async function tryInVain(point: CrashPoint, victim: 'orders' | 'stock'): Promise<void> {
  await using recoverer = assentRecoverer(cluster)
  const attempts: unknown[] = []
  await eventually('some attempts', async () => {
    attempts.push(await recoverer.recover().catch((error: unknown) => error))
    return attempts.length >= 3
  })
  if (victim === 'stock') return
  // Without the decider nobody knows: what was prepared stays prepared.
  const { sql } = cluster.database('stock')
  const left = (await sql('SELECT gid FROM pg_prepared_xacts')).length
  expect(left).toBe(isPrepared(point) ? 1 : 0)
}

function isPrepared({ message, stage }: CrashPoint): boolean {
  const at = goldenOfTwo.messages.indexOf(message) + (isProcessed(stage) ? 1 : 0)
  const [vote, apply] = ['stock vote 1', 'stock apply 1'].map((each) =>
    goldenOfTwo.messages.indexOf(each),
  )
  return at > vote! && at <= apply!
}
