/**
 * The process and every server die at once, as in a power cut, and only the servers come back: the
 * transaction ends the same way in both, and what was decided stays decided.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { within } from '../../harness/eventually.ts'
import { missesOf, recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { fateAt, isOwnDeath, label, pointsOf } from '../crash/crash-points.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { kindOf } from '../crash/message-names.ts'
import { goldenOfTwo, writesInTwo } from '../crash/two-databases.ts'

const points = pointsOf(goldenOfTwo.messages).filter(
  (point) => !isOwnDeath(point) && !['begin', 'work'].includes(kindOf(point.message)),
)
const BLACKOUT_MS = 20_000
let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
})

for (const point of points) {
  const fate = fateAt(point, goldenOfTwo.messages)
  test(`${fate} in both: everything dies at ${label(point)} (fault 23)`, async () => {
    const dark = Promise.withResolvers<undefined>()
    const act = async (struck: DoomedProcess) => {
      const verdict = struck.kill()
      await Promise.all(cluster.databases.map(({ server }) => server.kill()))
      dark.resolve(undefined)
      return verdict
    }
    await using owner = await DoomedProcess.start(cluster, 'transfer', writesInTwo, { point, act })
    const ending = await owner.run()
    await within('everything to be dead', dark.promise, BLACKOUT_MS)
    await Promise.all(cluster.databases.map(({ server }) => server.start()))
    expect(missesOf(owner, ending, point, goldenOfTwo)).toEqual([])
    const setting = { cluster, scenario: writesInTwo, golden: goldenOfTwo }
    const judged = await recoverAndJudge(setting, owner, fate)
    expect(judged.disagreements).toEqual([])
  })
}

test('the commit path has messages to die at', () => {
  expect(points.map(({ message }) => kindOf(message))).toContain('decide')
})
