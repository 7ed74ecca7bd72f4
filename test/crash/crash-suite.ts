/**
 * Owns: the tests that every killed transaction has in common: its golden transcript, one kill for
 * each of its messages at each stage, and the proof that none was left out.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { crash, lineOfCrash } from './crash.ts'
import type { Crash } from './crash.ts'
import { CrashCluster } from './crash-cluster.ts'
import type { DatabaseSpec } from './crash-database.ts'
import { fateAt, faultAt, label, pointsOf } from './crash-points.ts'
import type { CrashPoint } from './crash-points.ts'
import { DoomedProcess, deciderOf } from './doomed-process.ts'
import type { Scenario } from './doomed-process.ts'
import { kindOf } from './message-names.ts'
import type { Kind } from './message-names.ts'
import type { Golden } from './transcript.ts'

export interface CrashSuite {
  /** One server each, under the names of the participants. */
  readonly databases: readonly DatabaseSpec[]
  readonly scenario: Scenario
  readonly golden: Golden
  /** The kinds of messages at which it is killed; default: all. */
  readonly at?: readonly Kind[]
  /** Called after each crash, for what only this transaction promises. */
  readonly check?: (crashed: Crash) => void
}

export function crashEverywhere(suite: CrashSuite): void {
  const { databases, scenario, golden, check } = suite
  const crashes: Crash[] = []
  const points = (): readonly CrashPoint[] => pointsOf(golden.messages.filter(isStruck))
  let cluster: CrashCluster

  beforeAll(async () => {
    cluster = await CrashCluster.start(databases)
  })

  afterAll(async () => {
    await cluster.remove()
    console.log(crashes.map(lineOfCrash).join('\n'))
  })

  test('a healthy transaction sends the messages of the golden transcript', async () => {
    await using owner = await DoomedProcess.start(cluster, 'transfer', scenario)
    expect(await owner.run()).toBe('exit code 0')
    expect(owner.errors).toBe('')
    expect(golden.text(owner.events)).toBe(golden.expected(owner.events))
    const told = [{ note: 'began' }, { note: 'answered', outcome: 'committed' }]
    expect(owner.notes).toMatchObject(told)
  })

  const faults = Map.groupBy(points(), (point) => faultAt(point, golden.messages))
  describe.each([...faults])('%s', (_fault, group: readonly CrashPoint[]) => {
    for (const point of group) {
      test(`${fateAt(point, golden.messages)} everywhere: killed at ${label(point)}`, async () => {
        const crashed = await crash({ cluster, scenario, golden }, point)
        crashes.push(crashed)
        expect(crashed.disagreements).toEqual([])
        check?.(crashed)
      })
    }
  })

  const struck = suite.at === undefined ? 'every message' : `every ${suite.at.join(' and ')}`
  test(`${struck} of the healthy transaction was hit at every stage`, () => {
    const hit = crashes.filter((crashed) => crashed.hit).map(({ point }) => label(point))
    expect(golden.messages).toContain(`${deciderOf(scenario)} decide 1`)
    // Read again: a golden file that was just rewritten has points that this run did not know.
    expect(hit.toSorted()).toEqual(points().map(label).toSorted())
  })

  function isStruck(message: string): boolean {
    return suite.at?.includes(kindOf(message)) ?? true
  }
}
