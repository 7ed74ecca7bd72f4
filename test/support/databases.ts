/**
 * Databases of a test's own, with plain SQL access beside whatever is tested.
 */
import { inject, onTestFinished } from 'vitest'
import pg from 'pg'
import { eventually } from '../../harness/eventually.ts'
import type { ServerUrls } from './global-servers.ts'

export interface TestDatabase {
  readonly name: string
  readonly url: string
  /** For what is tested. */
  readonly pool: pg.Pool
  /** Plain SQL, on connections that Assent never sees. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>
  /** The gids that are prepared here. */
  prepared(): Promise<readonly string[]>
  /** How many rows the table `t` has. */
  count(): Promise<number>
}

let serial = 0

/** A fresh database with a table `t (x int)`, dropped when the test is over. */
export async function freshDatabase(
  server: keyof ServerUrls,
  config: pg.PoolConfig = {},
): Promise<TestDatabase> {
  const serverUrl = inject('servers')[server]
  serial += 1
  const name = `t_${process.pid}_${Date.now().toString(36)}_${serial}`
  await once(serverUrl, `create database ${name}`)
  const url = serverUrl.replace(/\/[^/]*$/, `/${name}`)
  const pool = new pg.Pool({ connectionString: url, ...config })
  const side = new pg.Pool({ connectionString: url, max: 2 })
  for (const each of [pool, side]) each.on('error', () => undefined)
  await side.query('create table t (x int)')
  onTestFinished(async () => {
    if (!pool.ended) await pool.end()
    await side.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity ' + OTHERS)
    await rollBackPrepared(side, name)
    await side.end()
    await once(serverUrl, `drop database ${name} with (force)`)
  })
  return { name, url, pool, ...lookingInto(side, name) }
}

/** Plain SQL on a pool that Assent never sees. */
export function lookingInto(
  side: pg.Pool,
  name: string,
): Pick<TestDatabase, 'sql' | 'prepared' | 'count'> {
  return {
    sql: async (text, values = []) =>
      (await side.query<Record<string, unknown>>(text, [...values])).rows,
    prepared: async () => {
      const text = 'select gid from pg_prepared_xacts where database = $1 order by gid'
      return (await side.query<{ gid: string }>(text, [name])).rows.map((row) => row.gid)
    },
    count: async () =>
      Number((await side.query<{ n: string }>('select count(*) as n from t')).rows[0]?.n),
  }
}

/** A session that was cut off in the middle of a vote may still prepare: it is ended first. */
const OTHERS = `where datname = current_database() and pid <> pg_backend_pid()
  and backend_type = 'client backend' and state <> 'idle'`

async function rollBackPrepared(side: pg.Pool, name: string): Promise<void> {
  const text = 'select gid from pg_prepared_xacts where database = $1'
  await eventually('nothing to be prepared', async () => {
    const { rows } = await side.query<{ gid: string }>(text, [name])
    for (const { gid } of rows) {
      // Recovery may have ended it in the meantime (42704), or be at it (55000: busy).
      await side.query(`rollback prepared '${gid}'`).catch((error: unknown) => {
        if (!['42704', '55000'].includes((error as { code?: string }).code ?? '')) throw error
      })
    }
    return rows.length === 0
  })
}

async function once(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}
