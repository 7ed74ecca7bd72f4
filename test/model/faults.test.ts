/**
 * Faults planted around the shipped machines are found, each with its shortest schedule.
 *
 * The numbers of steps are exact: the search is breadth first, so a number that changes means that
 * the model, or the protocol, has another way to go wrong.
 */
import { describe, expect, test } from 'vitest'
import { CLEANED, FAULTLESS, FAULT_BOUNDS, TOO_LATE } from './bounds.ts'
import type { Bounds } from './bounds.ts'
import { describeExploration } from './explore.ts'
import { FORGETTING_FAULTS, OBLIGATIONS, READING_FAULTS, nameOf, rulesWithout } from './faults.ts'
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
  ['a missing row of an unlisted epoch taken for abort', 'agreed', 21, TOO_LATE],
]

/** Cleaners come when COMMIT was executed, so these schedules begin there, unless bounds say more. */
const SHOWN: Bounds = { ...CLEANED, order: 'visible-first' }
const EPOCHS: Bounds = { ...FAULTLESS, restarts: 1, failovers: 1 }

const WRONG_FORGETTING: readonly [keyof typeof FORGETTING_FAULTS, PromiseName, number, Bounds][] = [
  ['the memory read before the insert', 'agreed', 23, TOO_LATE],
  ['the memory read before the insert', 'agreed', 19, { ...TOO_LATE, order: 'visible-first' }],
  [
    'an epoch used while it is only visible',
    'can finish',
    5,
    { ...EPOCHS, order: 'visible-first' },
  ],
  ['a claim that names another server’s epoch', 'can finish', 5, EPOCHS],
  ['a lossy fail-over taken for a lossless one', 'atomic', 5, { ...CLEANED, failovers: 1 }],
  ['an empty list of prepared branches taken for applied', 'remembered', 14, SHOWN],
  ['a lost vote concluded from two readings', 'no false alarm', 13, CLEANED],
  ['a deletion that found nothing, without a write of its own', 'no false report', 25, SHOWN],
  ['a settled row not awaited', 'no false alarm', 21, CLEANED],
  ['a settled row not awaited', 'can forget', 12, CLEANED],
  ['a lost vote cleaned away', 'no loss cleaned away', 9, { ...CLEANED, losses: 1 }],
  [
    'a missing decision taken for a forgotten one',
    'no silent loss',
    6,
    { ...CLEANED, setbacks: 1 },
  ],
]

describe('a wrong reading is found', () => {
  test.for(WRONG_READINGS)('%s: breaks “%s” after %i steps', ([fault, promise, steps, bounds]) => {
    expect(shortest(fault, READING_FAULTS[fault], promise, bounds)).toBe(steps)
  })
})

describe('a wrong way to forget is found', () => {
  test.for(WRONG_FORGETTING)(
    '%s: breaks “%s” after %i steps',
    ([fault, promise, steps, bounds]) => {
      expect(shortest(fault, FORGETTING_FAULTS[fault], promise, bounds)).toBe(steps)
    },
  )

  test('where nothing is shown before it is flushed, a deletion that finds nothing needs no write', () => {
    const fault = 'a deletion that found nothing, without a write of its own'
    expect(shortest(fault, FORGETTING_FAULTS[fault], 'no false report', CLEANED)).toBe(0)
  })
})

describe('a weakened ordering is found', () => {
  test.for(FOUND)('%s', ([name, { promise, steps, bounds }]) => {
    const obligation = OBLIGATIONS.find((each) => nameOf(each) === name)
    expect(obligation, 'no such obligation').toBeDefined()
    expect(shortest(name, rulesWithout(obligation!), promise, bounds)).toBe(steps)
  })
})

test('every promise is seen broken by some fault above', () => {
  const broken = [
    ...WRONG_READINGS.map(([, promise]) => promise),
    ...WRONG_FORGETTING.map(([, promise]) => promise),
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
