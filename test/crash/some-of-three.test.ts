/**
 * Two branches vote and apply in parallel: the process is killed when one of them has and the other
 * has not, which the kills at every message reach only by chance.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recoverAndJudge } from './crash.ts'
import { CrashCluster } from './crash-cluster.ts'
import { DoomedProcess, killOnceAnsweredTo } from './doomed-process.ts'
import { goldenOfTwo } from './two-databases.ts'

const scenario = { writes: ['stock', 'orders', 'ledger'], reads: [] }
let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock', 'ledger'])
})

afterAll(async () => {
  await cluster.remove()
})

test.each([
  ['aborted', 'killed when ledger has voted and stock has not (fault 6)', 'vote 1', ['ledger']],
  [
    'committed',
    'killed when ledger has applied and stock has not (fault 10)',
    'apply 1',
    ['stock'],
  ],
] as const)('%s everywhere: %s', async (fate, _what, message, prepared) => {
  const point = { message: `stock ${message}`, stage: 'sent, not processed' } as const
  const act = killOnceAnsweredTo(`ledger ${message}`)
  await using owner = await DoomedProcess.start(cluster, 'transfer', scenario, { point, act })
  expect(await owner.run()).toBe('SIGKILL')
  const left = (await cluster.prepared()).map((listed) => listed.split(' ')[0])
  expect(left).toEqual(prepared)
  const setting = { cluster, scenario, golden: goldenOfTwo }
  const { disagreements } = await recoverAndJudge(setting, owner, fate)
  expect(disagreements).toEqual([])
})
