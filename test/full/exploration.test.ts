/**
 * The exploration of `test/model` with wider bounds: minutes.
 */
import { expect, test } from 'vitest'
import { FULL_BOUNDS } from '../model/bounds.ts'
import { describeExploration } from '../model/explore.ts'
import { exploreProtocol } from '../model/model.ts'
import { SHIPPED } from '../model/rules.ts'

test.for(Object.entries(FULL_BOUNDS))(
  'every reachable world keeps every promise: %s',
  { timeout: 600_000 },
  ([name, bounds]) => {
    const found = exploreProtocol(SHIPPED, bounds)
    console.log(describeExploration(name, found))
    expect(found.violation).toBeUndefined()
    expect(found.drained).toBe(true)
  },
)
