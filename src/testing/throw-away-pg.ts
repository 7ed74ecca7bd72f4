/**
 * The end of a throw-away database on PostgreSQL.
 */
import type { TestDriver } from './throw-away-database.ts'

interface Client {
  connect(): Promise<unknown>
  query(text: string): Promise<{ readonly rows: readonly Record<string, unknown>[] }>
  end(): Promise<unknown>
}

/** How often what is prepared is looked for: one may be busy, or be prepared in this very moment. */
const TRIES = 50
const AGAIN_MS = 100

export async function openPg(driver: TestDriver, url: string): Promise<Client> {
  const { Client } = driver as unknown as {
    Client: new (config: { connectionString: string }) => Client
  }
  const client = new Client({ connectionString: url })
  await client.connect()
  return client
}

export async function dropPg(
  driver: TestDriver,
  serverUrl: string,
  url: string,
  name: string,
): Promise<void> {
  // A prepared branch can be ended in its own database only, and holds that database.
  const inside = await openPg(driver, url)
  try {
    await rollBackPrepared(inside)
  } finally {
    await inside.end()
  }
  const server = await openPg(driver, serverUrl)
  try {
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
  } finally {
    await server.end()
  }
}

/** A session that was cut may still be at work, and prepare: it is ended first. */
const END_BUSY = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND backend_type = 'client backend' AND state <> 'idle'`

async function rollBackPrepared(client: Client): Promise<void> {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const { rows: ended } = await client.query(END_BUSY)
    const { rows } = await client.query(
      'SELECT quote_literal(gid) AS gid FROM pg_prepared_xacts WHERE database = current_database()',
    )
    if (ended.length === 0 && rows.length === 0) return
    for (const { gid } of rows) {
      // Somebody may have ended it in the meantime, or be at it: the next look tells.
      await client.query(`ROLLBACK PREPARED ${String(gid)}`).catch(() => undefined)
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
  }
}
