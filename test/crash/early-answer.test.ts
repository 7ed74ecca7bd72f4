/**
 * With `resolveWhen: 'decided'` the caller is answered before the end is applied. That answer stays
 * true when the process is killed right after it: recovery applies what was promised.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { crash } from './crash.ts'
import { CrashCluster } from './crash-cluster.ts'
import { killOnceAnswered } from './doomed-process.ts'
import { goldenOfTwo, writesInTwo } from './two-databases.ts'

const scenario = { ...writesInTwo, resolveWhen: 'decided' } as const
const stages = ['sent, not processed', 'processed, not answered'] as const
let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
})

test.each(stages)('committed in both, as answered: killed at stock apply 1, %s', async (stage) => {
  const point = { message: 'stock apply 1', stage }
  const setting = { cluster, scenario, golden: goldenOfTwo, act: killOnceAnswered }
  const crashed = await crash(setting, point)
  expect(crashed.disagreements).toEqual([])
  expect(crashed.answered).toBe('committed')
})
