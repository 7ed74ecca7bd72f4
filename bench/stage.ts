/**
 * Owns: the two servers (ours, or those given), and in each a database of the bench's own.
 * Promises: at the end our servers are removed, and on given ones our databases are dropped.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { PostgresServer } from '../harness/postgres-server.ts'
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
  /** Ours, in the order of the urls; empty if they were given. */
  readonly servers: readonly PostgresServer[]
  readonly #serverUrls: Urls
  readonly #database: string

  /** `settings` of our own servers, beside those above. */
  static async open(
    given: ReadonlyMap<string, string>,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<Stage> {
    const [orders, stock] = [given.get('orders'), given.get('stock')]
    if (orders !== undefined && stock !== undefined) return new Stage([], { orders, stock }).#set()
    const servers = await Promise.all(
      ['orders', 'stock'].map((name) =>
        PostgresServer.create({ name, settings: { ...SERVER_SETTINGS, ...settings } }),
      ),
    )
    try {
      await Promise.all(servers.map((server) => server.start()))
      const urls = servers.map((server) => server.url())
      return await new Stage(servers, { orders: urls[0] ?? '', stock: urls[1] ?? '' }).#set()
    } catch (error) {
      await Promise.all(servers.map((server) => server.remove()))
      throw error
    }
  }

  private constructor(servers: readonly PostgresServer[], serverUrls: Urls) {
    this.servers = servers
    this.#serverUrls = serverUrls
    const id = randomBytes(4).toString('hex')
    this.#database = `assent_bench_${id}`
    // Two names: both may be on one server.
    this.urls = {
      orders: withDatabase(serverUrls.orders, `${this.#database}_orders`),
      stock: withDatabase(serverUrls.stock, `${this.#database}_stock`),
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
    await Promise.all([this.control.orders.end(), this.control.stock.end()])
    if (this.servers.length > 0) {
      await Promise.all(this.servers.map((server) => server.remove()))
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
