/**
 * Two-phase commit by hand, with as few round trips as it can have: BEGIN travels with the first
 * statement, both prepare in parallel, both commit in parallel.
 *
 * Promises: nothing across a crash. The decision is recorded nowhere, so what a crash leaves
 * prepared stays so, with its locks, until a person guesses how to end it.
 */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { beginWith } from './begin-with.ts'
import { withBoth } from './with-client.ts'
import type { Pools, Work } from './with-client.ts'

export async function byHand(pools: Pools, work: Work): Promise<void> {
  const id = randomUUID()
  await withBoth(pools, async (orders, stock) => {
    await beginWith(orders, work.orders)
    await beginWith(stock, work.stock)
    await prepareBoth(orders, stock, id)
    await Promise.all([
      orders.query(`COMMIT PREPARED '${id}-orders'`),
      stock.query(`COMMIT PREPARED '${id}-stock'`),
    ])
  })
}

/** In parallel; if one fails, the other is undone as soon as it is known what became of it. */
async function prepareBoth(orders: pg.PoolClient, stock: pg.PoolClient, id: string): Promise<void> {
  const [ordersVote, stockVote] = await Promise.allSettled([
    orders.query(`PREPARE TRANSACTION '${id}-orders'`),
    stock.query(`PREPARE TRANSACTION '${id}-stock'`),
  ])
  if (ordersVote.status === 'fulfilled' && stockVote.status === 'fulfilled') return
  if (ordersVote.status === 'fulfilled') await orders.query(`ROLLBACK PREPARED '${id}-orders'`)
  if (stockVote.status === 'fulfilled') await stock.query(`ROLLBACK PREPARED '${id}-stock'`)
  const failed = ordersVote.status === 'rejected' ? ordersVote : stockVote
  throw (failed as PromiseRejectedResult).reason
}
