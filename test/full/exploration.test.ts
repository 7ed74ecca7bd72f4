/**
 * The exploration of `test/model` with wider bounds: minutes.
 */
import { test } from 'vitest'
import { FULL_BOUNDS } from '../model/bounds.ts'
import { drainShipped } from '../model/shipped.ts'

test.for(Object.entries(FULL_BOUNDS))(
  'every reachable world keeps every promise: %s',
  { timeout: 600_000 },
  ([name, bounds]) => {
    drainShipped(name, bounds)
  },
)
