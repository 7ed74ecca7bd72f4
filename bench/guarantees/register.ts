/**
 * What the steps of the ladder need in both databases: Assent's tables, in a schema of their own,
 * and a listed epoch.
 *
 * Promises: nothing of Assent's own schema is touched, and no Assent looks into this one.
 */
import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { EPOCH_BYTES } from '../../src/protocol/index.ts'
import { openEpochSql, readEpochSql } from '../../src/systems/pg/epochs.ts'
import { existsSql, schemaNames, schemaSql } from '../../src/systems/pg/schema.ts'
import type { Pools } from '../rivals/with-client.ts'

export const SCHEMA = 'ladder'
export const NAMES = schemaNames(SCHEMA)

/** Creates what is missing. @returns the epoch that transactions decided in `stock` name */
export async function readyToMark(pools: Pools): Promise<string> {
  await Promise.all([createTables(pools.orders), createTables(pools.stock)])
  return (await readEpoch(pools.stock)) ?? openEpoch(pools.stock)
}

async function createTables(database: pg.Pool): Promise<void> {
  const { rows } = await database.query<{ there: boolean }>(`${existsSql(NAMES)} AS there`)
  if (rows[0]?.there !== true) await database.query(schemaSql(NAMES))
}

async function readEpoch(database: pg.Pool): Promise<string | undefined> {
  const { rows } = await database.query<{ id: string }>(readEpochSql(NAMES))
  return rows[0]?.id
}

async function openEpoch(database: pg.Pool): Promise<string> {
  const id = randomBytes(EPOCH_BYTES).toString('base64url')
  for (const text of openEpochSql(NAMES, 'lossy')) {
    await database.query(text, text.includes('$1') ? [id] : [])
  }
  return id
}
