/**
 * Owns: lending a connection of each pool for one transaction over PostgreSQL and MariaDB.
 * Promises: as `with-client.ts`: connections go back to their pools if `use` succeeded; otherwise they
 * are closed, and whatever is still open on them is rolled back by the servers.
 */
import type mysql from 'mysql2/promise'
import type pg from 'pg'
import { withClient } from '../with-client.ts'

/** The pools of the two databases. */
export interface MixedPools {
  readonly orders: pg.Pool
  readonly mariadb: mysql.Pool
}

/** What one transaction does: one statement in each database. */
export interface MixedWork {
  readonly orders: pg.QueryConfig
  readonly mariadb: MysqlStatement
}

export interface MysqlStatement {
  readonly sql: string
  readonly values: number[]
}

export function withBoth<T>(
  pools: MixedPools,
  use: (orders: pg.PoolClient, mariadb: mysql.PoolConnection) => Promise<T>,
): Promise<T> {
  return withClient(pools.orders, (orders) =>
    withConnection(pools.mariadb, (mariadb) => use(orders, mariadb)),
  )
}

async function withConnection<T>(
  pool: mysql.Pool,
  use: (connection: mysql.PoolConnection) => Promise<T>,
): Promise<T> {
  const connection = await pool.getConnection()
  try {
    const result = await use(connection)
    connection.release()
    return result
  } catch (error) {
    connection.destroy()
    throw error
  }
}

export function run(
  connection: mysql.PoolConnection,
  { sql, values }: MysqlStatement,
): Promise<unknown> {
  return connection.query(sql, values)
}
