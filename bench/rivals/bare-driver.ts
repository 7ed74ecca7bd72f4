/**
 * One database with node-postgres alone, as its manual writes a transaction.
 */
import type pg from 'pg'
import { withClient } from './with-client.ts'

export async function bareDriver(pool: pg.Pool, statement: pg.QueryConfig): Promise<void> {
  await withClient(pool, async (client) => {
    await client.query('BEGIN')
    await client.query(statement)
    await client.query('COMMIT')
  })
}
