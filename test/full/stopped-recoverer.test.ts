/**
 * Who recovers is stopped (SIGSTOP) while it holds the register's key, in the middle of its question:
 * the others wait until the server ends the sleeper's session, no longer, and it does no harm
 * when it wakes up.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import { missesOf, recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { assentRecoverer } from '../crash/recoverer.ts'
import { goldenOfTwo, writesInTwo } from '../crash/two-databases.ts'

let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
})

test('aborted everywhere: a recoverer is stopped inside its question (fault 48)', async () => {
  const died = { message: 'stock vote 1', stage: 'answered' } as const
  await using owner = await DoomedProcess.start(cluster, 'transfer', writesInTwo, { point: died })
  expect(missesOf(owner, await owner.run(), died, goldenOfTwo)).toEqual([])
  let leftWhileHeld: number | undefined
  const act = (paused: DoomedProcess) =>
    paused.pauseDuring(async () => {
      // Only now: it scans by itself, and would be faster than the one that is to be stopped.
      await using other = assentRecoverer(cluster)
      await other.recover()
      leftWhileHeld = (await cluster.prepared()).length
      const isEnded = async () => (await cluster.prepared()).length === 0
      await eventually('another to end it', isEnded, { timeoutMs: 20_000 })
    })
  const point = { message: 'orders remember 1', stage: 'sent, not processed' } as const
  const strike = { point, act }
  await using sleeper = await DoomedProcess.start(cluster, 'recover', writesInTwo, strike)
  expect(await sleeper.run()).toBe('exit code 0')
  expect(leftWhileHeld).toBe(1)
  const setting = { cluster, scenario: writesInTwo, golden: goldenOfTwo }
  expect((await recoverAndJudge(setting, owner, 'aborted')).disagreements).toEqual([])
})
