/**
 * Owns: the servers of a crash test, one for each participant, and plain SQL access to them.
 * Promises: every database has a table of items with amounts; an item that a transaction has taken
 * has the amount 0, and one that was taken twice would be negative.
 * Never: uses Assent, so what it reports is a witness of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { installExitCleanup } from '../../harness/exit-cleanup.ts'
import { PostgresServer } from '../../harness/postgres-server.ts'

export interface Database {
  readonly name: string
  readonly server: PostgresServer
  readonly sql: <Row extends object>(
    text: string,
    values?: readonly unknown[],
  ) => Promise<readonly Row[]>
}

export class CrashCluster {
  readonly databases: readonly Database[]
  /** For what the owners write down. */
  readonly folder = mkdtempSync(join(tmpdir(), 'assent-crash-'))
  readonly #pools: readonly pg.Pool[]
  #items = 0

  static async start(names: readonly string[]): Promise<CrashCluster> {
    installExitCleanup()
    const servers = await Promise.all(
      names.map(async (name) => {
        const server = await PostgresServer.create({ name: `crash-${name}` })
        await server.start()
        return server
      }),
    )
    const cluster = new CrashCluster(names, servers)
    await cluster.#everywhere('CREATE TABLE item (id text PRIMARY KEY, amount int NOT NULL)')
    return cluster
  }

  private constructor(names: readonly string[], servers: readonly PostgresServer[]) {
    this.#pools = servers.map((server) => {
      const pool = new pg.Pool({ connectionString: server.url(), application_name: 'witness' })
      pool.on('error', () => undefined)
      return pool
    })
    this.databases = names.map((name, at) => ({
      name,
      server: servers[at]!,
      sql: async <Row extends object>(text: string, values: readonly unknown[] = []) =>
        (await this.#pools[at]!.query<Row>(text, [...values])).rows,
    }))
  }

  database(name: string): Database {
    const found = this.databases.find((database) => database.name === name)
    if (found === undefined) throw new Error(`no database ${name}`)
    return found
  }

  /** A fresh item, of which every database has one. */
  async newItem(): Promise<string> {
    this.#items += 1
    const item = `item-${this.#items}`
    const insert = 'INSERT INTO item VALUES ($1, 1), ($2, 1)'
    await this.#everywhere(insert, [item, `${item}-warm-up`])
    return item
  }

  /** What is prepared, by database: `stock A1.…`. Read on every server as a whole. */
  async prepared(): Promise<readonly string[]> {
    const lists = await Promise.all(
      this.databases.map(async ({ name, sql }) => {
        const text = 'SELECT gid FROM pg_prepared_xacts ORDER BY gid'
        return (await sql<{ gid: string }>(text)).map(({ gid }) => `${name} ${gid}`)
      }),
    )
    return lists.flat()
  }

  /** How many sessions of the owner of an item are left. */
  async ownerSessions(item: string): Promise<number> {
    const text = 'SELECT pid FROM pg_stat_activity WHERE application_name = $1'
    const lists = await this.#everywhere(text, [`owner-${item}`])
    return lists.flat().length
  }

  async remove(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.end()))
    await Promise.all(this.databases.map(({ server }) => server.remove()))
    rmSync(this.folder, { recursive: true, force: true })
  }

  #everywhere(text: string, values: readonly unknown[] = []): Promise<readonly object[][]> {
    return Promise.all(this.databases.map(async ({ sql }) => [...(await sql(text, values))]))
  }
}
