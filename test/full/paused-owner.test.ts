/**
 * A process that stands still (SIGSTOP) in the middle of its transaction is not taken for dead:
 * another one that recovers meanwhile leaves an undecided transaction alone and finishes a decided
 * one, and the process that wakes up is told the truth.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { claimAt, fateAt, isOwnDeath, isProcessed, label, pointsOf } from '../crash/crash-points.ts'
import type { CrashPoint } from '../crash/crash-points.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { fullId } from '../crash/oracle.ts'
import { assentRecoverer } from '../crash/recoverer.ts'
import { goldenOfTwo, writesInTwo } from '../crash/two-databases.ts'

const points = pointsOf(goldenOfTwo.messages).filter((point) => !isOwnDeath(point))
let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
})

test.each(points.map((point) => [label(point), point] as const))(
  'committed everywhere, and told so: paused at %s',
  async (_label, point) => {
    await using recoverer = assentRecoverer(cluster)
    let seen: readonly string[] | undefined
    const act = (paused: DoomedProcess) =>
      paused.pauseDuring(async () => {
        const before = await cluster.prepared()
        for (let pass = 1; pass <= 3; pass += 1) await recoverer.recover()
        const isLeftAlone = before.join() === (await cluster.prepared()).join()
        seen = [isLeftAlone ? 'left alone' : 'ended', await outcomeDuring(paused, point)]
      })
    await using owner = await DoomedProcess.start(cluster, 'transfer', writesInTwo, { point, act })
    expect(await owner.run()).toBe('exit code 0')
    expect(seen).toEqual(expectedDuring(point))
    expect(owner.notes.at(-1)).toEqual({ note: 'answered', outcome: 'committed' })
    const setting = { cluster, scenario: writesInTwo, golden: goldenOfTwo }
    const judged = await recoverAndJudge(setting, owner, 'committed')
    expect(judged.disagreements).toEqual([])

    async function outcomeDuring(paused: DoomedProcess, { message, stage }: CrashPoint) {
      // Before its claim, nobody has an id that could be asked.
      if (!isClaimed({ message, stage })) return 'no id'
      const began = paused.notes.find((note) => note.note === 'began')
      return recoverer.outcome(await fullId(cluster, 'orders', began?.txid ?? ''), 0)
    }
  },
)

function expectedDuring(point: CrashPoint): readonly string[] {
  if (!isClaimed(point)) return ['left alone', 'no id']
  if (fateAt(point, goldenOfTwo.messages) === 'aborted') return ['left alone', 'unknown: running']
  const isEnded = point.message === 'stock apply 1' && isProcessed(point.stage)
  return [isEnded ? 'left alone' : 'ended', 'committed']
}

function isClaimed({ message, stage }: CrashPoint): boolean {
  const { messages } = goldenOfTwo
  return messages.indexOf(message) + (isProcessed(stage) ? 1 : 0) > claimAt(messages)
}
