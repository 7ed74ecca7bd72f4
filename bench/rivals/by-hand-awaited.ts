/**
 * Two-phase commit by hand, as it is usually written: one statement after the other.
 *
 * Promises: nothing across a crash, as in by-hand.ts.
 */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { withBoth } from './with-client.ts'
import type { Pools, Work } from './with-client.ts'

export async function byHandAwaited(pools: Pools, work: Work): Promise<void> {
  const id = randomUUID()
  await withBoth(pools, async (orders, stock) => {
    await orders.query('BEGIN')
    await orders.query(work.orders)
    await stock.query('BEGIN')
    await stock.query(work.stock)
    await orders.query(`PREPARE TRANSACTION '${id}-orders'`)
    await prepareLast(orders, stock, id)
    await orders.query(`COMMIT PREPARED '${id}-orders'`)
    await stock.query(`COMMIT PREPARED '${id}-stock'`)
  })
}

async function prepareLast(orders: pg.PoolClient, stock: pg.PoolClient, id: string): Promise<void> {
  try {
    await stock.query(`PREPARE TRANSACTION '${id}-stock'`)
  } catch (error) {
    await orders.query(`ROLLBACK PREPARED '${id}-orders'`)
    throw error
  }
}
