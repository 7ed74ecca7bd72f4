/**
 * Owns: plain SQL on one PostgreSQL database, and what is prepared there.
 */
import pg from 'pg'
import type { PlainOptions, PlainSql, Row, SeenBranch } from '../database.ts'

/**
 * The sessions first: one that is missing here has ended, so what is listed after it has nobody
 * left who could end it on the victim's behalf. A session that waits for a lock is at some other
 * statement, and rolls back as soon as the server notices that its client is gone.
 */
const WORKERS = `SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = 'bank' AND application_name LIKE 'worker-%'
  AND wait_event_type IS DISTINCT FROM 'Lock'`
const BRANCHES = `SELECT gid FROM pg_prepared_xacts WHERE database = 'bank'`

const PREPARED = 'SELECT gid FROM pg_prepared_xacts ORDER BY gid'
const SESSIONS = `SELECT application_name || ' (' || coalesce(state, 'no state') || ')' AS session
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`

export async function connectToPostgres(url: string, options: PlainOptions): Promise<PlainSql> {
  const { as, timeoutMs } = options
  const client = new pg.Client({
    connectionString: url,
    application_name: as,
    ...(timeoutMs && { connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs }),
  })
  client.on('error', () => undefined)
  await client.connect()
  return new PostgresSql(client)
}

class PostgresSql implements PlainSql {
  readonly #client: pg.Client

  constructor(client: pg.Client) {
    this.#client = client
  }

  async rows(sql: string): Promise<readonly Row[]> {
    return (await this.#client.query<Row>(sql)).rows
  }

  async look(): Promise<readonly SeenBranch[]> {
    const [sessions, branches] = (await this.#client.query(
      `${WORKERS};${BRANCHES}`,
    )) as unknown as [pg.QueryResult<{ application_name: string }>, pg.QueryResult<{ gid: string }>]
    const workers = new Set(sessions.rows.map((row) => row.application_name))
    const isReachedBy = (worker: string): boolean => workers.has(worker)
    // A1.<app>.<register>.<epoch>.<txid>.<branch>
    return branches.rows.map(({ gid }) => ({ gid, txid: gid.split('.')[4] ?? '', isReachedBy }))
  }

  async leftPrepared(): Promise<readonly string[]> {
    return (await this.rows(PREPARED)).map(({ gid }) => `${String(gid)} is still prepared`)
  }

  async otherSessions(): Promise<readonly string[]> {
    return (await this.rows(SESSIONS)).map(({ session }) => String(session))
  }

  close(): Promise<void> {
    return this.#client.end()
  }
}
