/**
 * The exploration with wider bounds: minutes. Here a commit is shown before it is flushed.
 * (`npm run test:pairs` has it: see vitest.config.ts.)
 */
import { test } from 'vitest'
import { FULL_BOUNDS } from '../model/bounds.ts'
import { drainShipped } from '../model/shipped.ts'

test.for(Object.entries(FULL_BOUNDS).filter(([name]) => name.endsWith(', shown then flushed')))(
  'every reachable world keeps every promise: %s',
  { timeout: 600_000 },
  ([name, bounds]) => {
    drainShipped(name, bounds)
  },
)
