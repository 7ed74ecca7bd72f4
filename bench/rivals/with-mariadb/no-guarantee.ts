/**
 * Two transactions side by side, on PostgreSQL and on MariaDB, and nothing that binds them.
 *
 * Promises: nothing. A crash between the two COMMITs leaves the one without the other.
 */
import { beginWith } from '../begin-with.ts'
import { run, withBoth } from './with-both.ts'
import type { MixedPools, MixedWork } from './with-both.ts'

export async function mixedNoGuarantee(pools: MixedPools, work: MixedWork): Promise<void> {
  await withBoth(pools, async (orders, mariadb) => {
    await beginWith(orders, work.orders)
    await mariadb.query('START TRANSACTION')
    await run(mariadb, work.mariadb)
    await Promise.all([orders.query('COMMIT'), mariadb.query('COMMIT')])
  })
}
