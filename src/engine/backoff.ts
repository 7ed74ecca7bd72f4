/**
 * Growing, jittered waits.
 *
 * Full jitter: uniform between nothing and a limit that doubles. Processes that failed together
 * must not come back together.
 */
import type { World } from '../ports/index.ts'

export interface Backoff {
  readonly firstMs: number
  readonly longestMs: number
}

/** The wait before attempt `attempt` (the first retry is 1). */
export function backoffMs(backoff: Backoff, attempt: number, world: World): number {
  const limit = Math.min(backoff.longestMs, backoff.firstMs * 2 ** (attempt - 1))
  return limit * world.random()
}
