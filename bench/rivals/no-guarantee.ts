/**
 * Two transactions side by side, and nothing that binds them: what an outcome in both costs least.
 *
 * Promises: nothing. A crash between the two COMMITs leaves the one without the other.
 */
import { beginWith } from './begin-with.ts'
import { withBoth } from './with-client.ts'
import type { Pools, Work } from './with-client.ts'

export async function noGuarantee(pools: Pools, work: Work): Promise<void> {
  await withBoth(pools, async (orders, stock) => {
    await beginWith(orders, work.orders)
    await beginWith(stock, work.stock)
    await Promise.all([orders.query('COMMIT'), stock.query('COMMIT')])
  })
}
