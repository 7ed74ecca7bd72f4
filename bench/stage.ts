/**
 * Owns: the two servers (ours, or those given), in each a database of the bench's own; and with
 * `--pairs` a third on MariaDB.
 * Promises: at the end our servers are removed, and on given ones our databases are dropped.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { LoopbackServer } from '../harness/loopback-server.ts'
import { PostgresServer } from '../harness/postgres-server.ts'
import { MariadbSide } from './mariadb-side.ts'
import type { MariadbWish } from './mariadb-side.ts'
import { TABLES } from './workload.ts'
import type { Urls } from './workload.ts'

/**
 * What differs from PostgreSQL's defaults on servers of ours. No checkpoint falls into a run: it
 * would hit whoever has its turn, and the full pages behind it would be charged to him.
 */
export const SERVER_SETTINGS: Readonly<Record<string, string>> = {
  max_prepared_transactions: '64',
  // A full pool for every step of the ladder.
  max_connections: '400',
  max_wal_size: '4GB',
  checkpoint_timeout: '1h',
  shared_buffers: '128MB',
}

export class Stage {
  readonly urls: Urls
  /** Reads beside the contenders. */
  readonly control: { readonly orders: pg.Pool; readonly stock: pg.Pool }
  /** Ours, in the order of the urls; without those that were given. */
  readonly servers: readonly LoopbackServer[]
  readonly mariadb: MariadbSide | undefined
  readonly #postgres: readonly PostgresServer[]
  readonly #serverUrls: Urls
  readonly #database: string

  /** `settings` of our own servers, beside those above. */
  static async open(
    given: ReadonlyMap<string, string>,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<Stage> {
    return Stage.#open(given, settings, undefined)
  }

  /** With MariaDB beside them. */
  static async openPairs(
    given: ReadonlyMap<string, string>,
    binlog: MariadbWish['binlog'],
  ): Promise<Stage> {
    const wish = { url: given.get('mariadb'), binlog }
    const mariadb = await MariadbSide.open(wish, `assent_bench_${randomBytes(4).toString('hex')}`)
    try {
      return await Stage.#open(given, {}, mariadb)
    } catch (error) {
      await mariadb.close()
      throw error
    }
  }

  static async #open(
    given: ReadonlyMap<string, string>,
    settings: Readonly<Record<string, string>>,
    mariadb: MariadbSide | undefined,
  ): Promise<Stage> {
    const [orders, stock] = [given.get('orders'), given.get('stock')]
    if (orders !== undefined && stock !== undefined) {
      return new Stage([], { orders, stock }, mariadb).#set()
    }
    const servers = await Promise.all(
      ['orders', 'stock'].map((name) =>
        PostgresServer.create({ name, settings: { ...SERVER_SETTINGS, ...settings } }),
      ),
    )
    try {
      await Promise.all(servers.map((server) => server.start()))
      const urls = servers.map((server) => server.url())
      const own = { orders: urls[0] ?? '', stock: urls[1] ?? '' }
      return await new Stage(servers, own, mariadb).#set()
    } catch (error) {
      await Promise.all(servers.map((server) => server.remove()))
      throw error
    }
  }

  private constructor(
    servers: readonly PostgresServer[],
    serverUrls: Urls,
    mariadb: MariadbSide | undefined,
  ) {
    this.#postgres = servers
    this.mariadb = mariadb
    this.servers = [...servers, ...(mariadb?.server === undefined ? [] : [mariadb.server])]
    this.#serverUrls = serverUrls
    const id = randomBytes(4).toString('hex')
    this.#database = `assent_bench_${id}`
    // Two names: both may be on one server.
    this.urls = {
      orders: withDatabase(serverUrls.orders, `${this.#database}_orders`),
      stock: withDatabase(serverUrls.stock, `${this.#database}_stock`),
      ...(mariadb === undefined ? {} : { mariadb: mariadb.url }),
    }
    const pool = (connectionString: string): pg.Pool => {
      const made = new pg.Pool({ connectionString, max: 1 })
      made.on('error', () => undefined)
      return made
    }
    this.control = { orders: pool(this.urls.orders), stock: pool(this.urls.stock) }
  }

  async #set(): Promise<this> {
    try {
      for (const name of ['orders', 'stock'] as const) {
        await once(this.#serverUrls[name], `create database ${this.#database}_${name}`)
        // On a session that ends: one reports what it wrote late, and would be counted with others.
        await once(this.urls[name], ...TABLES)
      }
      return this
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.control.orders.end(), this.control.stock.end(), this.mariadb?.close()])
    if (this.#postgres.length > 0) {
      await Promise.all(this.#postgres.map((server) => server.remove()))
      return
    }
    for (const name of ['orders', 'stock'] as const) {
      const drop = `drop database if exists ${this.#database}_${name} with (force)`
      await once(this.#serverUrls[name], drop)
    }
  }

  /** Empty databases on the first server. */
  async createDatabases(count: number): Promise<readonly string[]> {
    const urls: string[] = []
    for (let index = 0; index < count; index += 1) {
      const name = `${this.#database}_idle${index}`
      await once(this.#serverUrls.orders, `create database ${name}`)
      urls.push(withDatabase(this.#serverUrls.orders, name))
    }
    return urls
  }

  async dropDatabases(urls: readonly string[]): Promise<void> {
    for (const url of urls) {
      const drop = `drop database ${new URL(url).pathname.slice(1)} with (force)`
      await once(this.#serverUrls.orders, drop)
    }
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

async function once(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
