/**
 * Owns: PostgreSQL as a participant of a crash test.
 */
import pg from 'pg'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { POSTGRES_WIRE } from '../../harness/wire-frames.ts'
import type { Database, Sessions } from './crash-database.ts'

export class PostgresCrashDatabase implements Database {
  readonly system = 'postgres'
  readonly wire = POSTGRES_WIRE
  readonly name: string
  readonly server: PostgresServer
  readonly #pool: pg.Pool

  static async start(name: string): Promise<PostgresCrashDatabase> {
    const server = await PostgresServer.create({ name: `crash-${name}` })
    await server.start()
    const database = new PostgresCrashDatabase(name, server)
    await database.sql('CREATE TABLE item (id text PRIMARY KEY, amount int NOT NULL)')
    return database
  }

  private constructor(name: string, server: PostgresServer) {
    this.name = name
    this.server = server
    this.#pool = new pg.Pool({ connectionString: server.url(), application_name: 'witness' })
    this.#pool.on('error', () => undefined)
  }

  get url(): string {
    return this.server.url()
  }

  async sql<Row extends object>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<readonly Row[]> {
    return (await this.#pool.query<Row>(text, [...values])).rows
  }

  async addItems(items: readonly string[]): Promise<void> {
    await this.sql('INSERT INTO item SELECT unnest($1::text[]), 1', [items])
  }

  async stateOf(item: string): Promise<{ amount: number; isLocked: boolean }> {
    const select = 'SELECT amount FROM item WHERE id = $1'
    const [row] = await this.sql<{ amount: number }>(select, [item])
    const free = await this.sql(`${select} FOR UPDATE SKIP LOCKED`, [item])
    return { amount: row?.amount ?? Number.NaN, isLocked: free.length === 0 }
  }

  /** A database that was only ever read has no such table, and so no mark. */
  async markOf(txid: string): Promise<string | undefined> {
    const exists = `SELECT to_regclass('assent.mark')::text AS at`
    const [table] = await this.sql<{ at: string | null }>(exists)
    if (table?.at == null) return undefined
    const select = 'SELECT decision FROM assent.mark WHERE txid = $1'
    return (await this.sql<{ decision: string }>(select, [txid]))[0]?.decision
  }

  async newestEpoch(): Promise<string | undefined> {
    const text = 'SELECT id FROM assent.epoch ORDER BY ordinal DESC LIMIT 1'
    return (await this.sql<{ id: string }>(text))[0]?.id
  }

  async prepared(): Promise<readonly string[]> {
    const text = 'SELECT gid FROM pg_prepared_xacts ORDER BY gid'
    return (await this.sql<{ gid: string }>(text)).map(({ gid }) => gid)
  }

  async endByHand(gid: string, ending: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    await this.sql(`${ending} PREPARED '${gid}'`)
  }

  async countSessions({ application }: Sessions): Promise<number> {
    const text = 'SELECT pid FROM pg_stat_activity WHERE application_name = $1'
    return (await this.sql(text, [application])).length
  }

  async close(): Promise<void> {
    await this.#pool.end()
    await this.server.remove()
  }
}
