/**
 * Owns: lending a pool's connection for one transaction.
 * Promises: it goes back to its pool if `use` succeeded; otherwise it is closed, and whatever is
 * still open on it is rolled back by the server.
 */
import type pg from 'pg'

/** The pools of the two databases. */
export interface Pools {
  readonly orders: pg.Pool
  readonly stock: pg.Pool
}

/** What one transaction does: one statement in each database. */
export interface Work {
  readonly orders: pg.QueryConfig
  readonly stock: pg.QueryConfig
}

export async function withClient<T>(
  pool: pg.Pool,
  use: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  try {
    const result = await use(client)
    client.release()
    return result
  } catch (error) {
    client.release(true)
    throw error
  }
}

export function withBoth<T>(
  pools: Pools,
  use: (orders: pg.PoolClient, stock: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return withClient(pools.orders, (orders) =>
    withClient(pools.stock, (stock) => use(orders, stock)),
  )
}
