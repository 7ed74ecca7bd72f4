/**
 * Two-phase commit by hand over PostgreSQL and MariaDB, with as few round trips as it can have: BEGIN
 * travels with the first statement on PostgreSQL, both prepare in parallel, both commit in parallel.
 * (mysql2 sends a statement when the one before it was answered, whoever waits for that.)
 *
 * Promises: nothing across a crash. The decision is recorded nowhere, so what a crash leaves
 * prepared stays so, with its locks, until a person guesses how to end it.
 */
import { randomUUID } from 'node:crypto'
import type mysql from 'mysql2/promise'
import type pg from 'pg'
import { beginWith } from '../begin-with.ts'
import { run, withBoth } from './with-both.ts'
import type { MixedPools, MixedWork } from './with-both.ts'

export async function mixedByHand(pools: MixedPools, work: MixedWork): Promise<void> {
  const id = randomUUID()
  await withBoth(pools, async (orders, mariadb) => {
    await beginWith(orders, work.orders)
    // Were it not awaited and failed, the UPDATE would commit by itself.
    await mariadb.query(`XA START '${id}'`)
    await run(mariadb, work.mariadb)
    await prepareBoth(orders, mariadb, id)
    await Promise.all([orders.query(`COMMIT PREPARED '${id}'`), mariadb.query(`XA COMMIT '${id}'`)])
  })
}

/** In parallel; if one fails, the other is undone as soon as it is known what became of it. */
async function prepareBoth(
  orders: pg.PoolClient,
  mariadb: mysql.PoolConnection,
  id: string,
): Promise<void> {
  const [ordersVote, mariadbVote] = await Promise.allSettled([
    orders.query(`PREPARE TRANSACTION '${id}'`),
    Promise.all([mariadb.query(`XA END '${id}'`), mariadb.query(`XA PREPARE '${id}'`)]),
  ])
  if (ordersVote.status === 'fulfilled' && mariadbVote.status === 'fulfilled') return
  if (ordersVote.status === 'fulfilled') await orders.query(`ROLLBACK PREPARED '${id}'`)
  if (mariadbVote.status === 'fulfilled') await mariadb.query(`XA ROLLBACK '${id}'`)
  const failed = ordersVote.status === 'rejected' ? ordersVote : mariadbVote
  throw (failed as PromiseRejectedResult).reason
}
