/**
 * The exploration with wider bounds: minutes. Here a commit is flushed before it is shown.
 * (The other half takes as long, and runs with `npm run test:pairs`.)
 */
import { test } from 'vitest'
import { FULL_BOUNDS } from '../model/bounds.ts'
import { drainShipped } from '../model/shipped.ts'

test.for(Object.entries(FULL_BOUNDS).filter(([name]) => !name.endsWith(', shown then flushed')))(
  'every reachable world keeps every promise: %s',
  { timeout: 600_000 },
  ([name, bounds]) => {
    drainShipped(name, bounds)
  },
)
