/**
 * Two-phase commit by hand over PostgreSQL and MariaDB, as it is usually written: one statement after
 * the other.
 *
 * Promises: nothing across a crash, as in by-hand.ts.
 */
import { randomUUID } from 'node:crypto'
import type mysql from 'mysql2/promise'
import type pg from 'pg'
import { run, withBoth } from './with-both.ts'
import type { MixedPools, MixedWork } from './with-both.ts'

export async function mixedByHandAwaited(pools: MixedPools, work: MixedWork): Promise<void> {
  const id = randomUUID()
  await withBoth(pools, async (orders, mariadb) => {
    await orders.query('BEGIN')
    await orders.query(work.orders)
    await mariadb.query(`XA START '${id}'`)
    await run(mariadb, work.mariadb)
    await orders.query(`PREPARE TRANSACTION '${id}'`)
    await prepareLast(orders, mariadb, id)
    await orders.query(`COMMIT PREPARED '${id}'`)
    await mariadb.query(`XA COMMIT '${id}'`)
  })
}

async function prepareLast(
  orders: pg.PoolClient,
  mariadb: mysql.PoolConnection,
  id: string,
): Promise<void> {
  try {
    await mariadb.query(`XA END '${id}'`)
    await mariadb.query(`XA PREPARE '${id}'`)
  } catch (error) {
    await orders.query(`ROLLBACK PREPARED '${id}'`)
    throw error
  }
}
