/**
 * Who recovers may be killed too: at every message of a recovery, before, between and after. The
 * next one ends the branch the same way.
 */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missesOf, recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { fateAt, isProcessed, label, pointsOf } from '../crash/crash-points.ts'
import type { CrashPoint } from '../crash/crash-points.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { Golden } from '../crash/transcript.ts'
import { goldenOfTwo, writesInTwo } from '../crash/two-databases.ts'

const setting = { scenario: writesInTwo, golden: goldenOfTwo }
const lines: string[] = []
let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
  console.log(lines.join('\n'))
})

describe.each([
  {
    ownerDies: { message: 'stock vote 1', stage: 'answered' },
    file: 'recovery-to-abort',
    times: 20,
  },
  {
    ownerDies: { message: 'orders decide 1', stage: 'answered' },
    file: 'recovery-to-commit',
    times: 100,
  },
] as const)('$file (fault 13)', ({ ownerDies, file, times }) => {
  const golden = new Golden(
    fileURLToPath(new URL(`./${file}.golden.txt`, import.meta.url)),
    `The messages of one ${file.replaceAll('-', ' ')}, but for sessions and scans.`,
  )
  const fate = fateAt(ownerDies, goldenOfTwo.messages)
  const points = pointsOf(golden.messages)
  const hit: string[] = []

  test('an undisturbed recovery sends the messages of the golden transcript', async () => {
    await using owner = await killedOwner(ownerDies)
    await using doomed = await DoomedProcess.start(cluster, 'recover', writesInTwo)
    expect(await doomed.run()).toBe('exit code 0')
    expect(golden.text(doomed.events)).toBe(golden.expected(doomed.events))
    expect(await cluster.prepared()).toEqual([])
    const { disagreements } = await recoverAndJudge({ cluster, ...setting }, owner, fate)
    expect(disagreements).toEqual([])
  })

  for (const point of points) {
    test(`${fate} everywhere: its recoverer is killed at ${label(point)}`, async () => {
      await using owner = await killedOwner(ownerDies)
      const misses = await killRecovererAt(point, golden)
      if (misses.length === 0) hit.push(label(point))
      const left = (await cluster.prepared()).length
      const judged = await recoverAndJudge({ cluster, ...setting }, owner, fate)
      expect([...misses, ...judged.disagreements]).toEqual([])
      expect(left).toBe(isEnd(point) && isProcessed(point.stage) ? 0 : 1)
      lines.push(`${label(point)}: ${fate}, left ${left}, ${judged.recoveredMs} ms`)
    })
  }

  test(`${fate} everywhere: ${times} recoverers are killed one after the other (fault 14)`, async () => {
    await using owner = await killedOwner(ownerDies)
    const harmless = points.filter((point) => !(isEnd(point) && isProcessed(point.stage)))
    for (let kills = 0; kills < times; kills += 1) {
      expect(await killRecovererAt(harmless[kills % harmless.length]!, golden)).toEqual([])
      expect(await cluster.prepared()).toHaveLength(1)
    }
    const judged = await recoverAndJudge({ cluster, ...setting }, owner, fate)
    expect(judged.disagreements).toEqual([])
  }, 300_000)

  test('every message of the recovery was hit at every stage', () => {
    expect(golden.messages.some((message) => message.startsWith('stock '))).toBe(true)
    expect(hit).toEqual(pointsOf(golden.messages).map(label))
  })
})

/** A process that ran a transaction and was killed at a point. */
async function killedOwner(point: CrashPoint): Promise<DoomedProcess> {
  const owner = await DoomedProcess.start(cluster, 'transfer', writesInTwo, { point })
  expect(missesOf(owner, await owner.run(), point, goldenOfTwo)).toEqual([])
  expect(await cluster.prepared()).toHaveLength(1)
  return owner
}

async function killRecovererAt(point: CrashPoint, golden: Golden): Promise<readonly string[]> {
  await using doomed = await DoomedProcess.start(cluster, 'recover', writesInTwo, { point })
  return missesOf(doomed, await doomed.run(), point, golden)
}

/** Whether the message ends the branch. */
function isEnd({ message }: CrashPoint): boolean {
  return message.startsWith('stock ')
}
