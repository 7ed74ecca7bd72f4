/**
 * Faults planted around the shipped machines are found, each with its shortest schedule.
 *
 * The numbers of steps are exact: the search is breadth first, so a number that changes means that
 * the model, or the protocol, has another way to go wrong.
 */
import { describe, expect, test } from 'vitest'
import { FAULT_BOUNDS } from './bounds.ts'
import type { Bounds } from './bounds.ts'
import { describeExploration } from './explore.ts'
import { OBLIGATIONS, READING_FAULTS, nameOf, rulesWithout } from './faults.ts'
import { exploreProtocol } from './model.ts'
import { FOUND } from './obligations.ts'
import { PROMISES } from './promises.ts'
import type { PromiseName } from './promises.ts'
import type { Rules } from './rules.ts'

const VISIBLE_FIRST: Bounds = { ...FAULT_BOUNDS, order: 'visible-first' }
const SET_BACK: Bounds = { ...FAULT_BOUNDS, setbacks: 1 }
const LOST: Bounds = { ...FAULT_BOUNDS, losses: 1 }

const WRONG_READINGS: readonly [keyof typeof READING_FAULTS, PromiseName, number, Bounds][] = [
  ['abort on a time-out of a prepared branch', 'atomic', 9, FAULT_BOUNDS],
  ['a lock time-out taken as abort', 'atomic', 10, FAULT_BOUNDS],
  ['a lock time-out taken as abort', 'agreed', 9, FAULT_BOUNDS],
  ['“does not exist” taken as committed', 'applied', 14, VISIBLE_FIRST],
  ['“does not exist” taken as committed', 'applied', 14, LOST],
  ['an unclear PREPARE taken as yes', 'atomic', 6, FAULT_BOUNDS],
  ['a lost answer to COMMIT taken as refused', 'told', 10, FAULT_BOUNDS],
  ['COMMIT sent behind the claim', 'claimed', 2, SET_BACK],
  ['a missing row of an unlisted epoch taken for abort', 'atomic', 12, SET_BACK],
  ['obeying what was seen without the asker’s own COMMIT', 'atomic', 12, VISIBLE_FIRST],
  ['obeying what was seen without the asker’s own COMMIT', 'obedient', 10, VISIBLE_FIRST],
  ['abort on a time-out of a prepared branch', 'can finish', 7, FAULT_BOUNDS],
]

describe('a wrong reading is found', () => {
  test.for(WRONG_READINGS)('%s: breaks “%s” after %i steps', ([fault, promise, steps, bounds]) => {
    expect(shortest(fault, READING_FAULTS[fault], promise, bounds)).toBe(steps)
  })
})

describe('a weakened ordering is found', () => {
  test.for(FOUND)('%s', ([name, { promise, steps }]) => {
    const obligation = OBLIGATIONS.find((each) => nameOf(each) === name)
    expect(obligation, 'no such obligation').toBeDefined()
    expect(shortest(name, rulesWithout(obligation!), promise, FAULT_BOUNDS)).toBe(steps)
  })
})

test('every promise is seen broken by some fault above', () => {
  const broken = [
    ...WRONG_READINGS.map(([, promise]) => promise),
    ...FOUND.map(([, { promise }]) => promise),
  ]
  expect([...new Set(broken)].sort()).toEqual(Object.keys(PROMISES).sort())
})

/** The length of the shortest schedule that breaks the promise; 0 when there is none. */
function shortest(name: string, rules: Rules, promise: PromiseName, bounds: Bounds): number {
  const found = exploreProtocol(rules, bounds, new Set([promise]))
  const { violation } = found
  const named = violation && { ...violation, promise: PROMISES[promise] }
  console.log(describeExploration(name, { ...found, violation: named }))
  return violation?.schedule.length ?? 0
}
