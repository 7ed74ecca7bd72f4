/**
 * Owns: MariaDB as a participant of a crash test, with or without a binary log.
 */
import mysql from 'mysql2/promise'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import type { ServerOptions } from '../../harness/loopback-server.ts'
import { MYSQL_WIRE } from '../../harness/mysql-frames.ts'
import { BINLOG } from '../support/global-servers.ts'
import type { Database, Sessions, System } from './crash-database.ts'

const DATABASE = 'shop'
/** No such table, no such database. */
const MISSING = [1146, 1049]
const XID = /^'?(A1(?:\.[^.]+){4})\.(.+?)'?$/

export class MariadbCrashDatabase implements Database {
  readonly wire = MYSQL_WIRE
  readonly name: string
  readonly system: System
  readonly server: MariadbServer
  readonly #pool: mysql.Pool

  static async start(
    name: string,
    system: Exclude<System, 'postgres'>,
    { settings = {}, env = {} }: Partial<Pick<ServerOptions, 'settings' | 'env'>> = {},
  ): Promise<MariadbCrashDatabase> {
    const log = system === 'mariadb' ? {} : BINLOG
    const server = await MariadbServer.create({
      name: `crash-${name}`,
      settings: { ...log, ...settings },
      env,
    })
    await server.start()
    await server.createDatabase(DATABASE)
    const database = new MariadbCrashDatabase(name, system, server)
    const table = '(id varchar(40) PRIMARY KEY, amount int NOT NULL) ENGINE = InnoDB'
    await database.sql(`CREATE TABLE item ${table}`)
    return database
  }

  private constructor(name: string, system: System, server: MariadbServer) {
    this.name = name
    this.system = system
    this.server = server
    this.#pool = mysql.createPool({ uri: this.url, connectionLimit: 4 })
  }

  get url(): string {
    return this.server.url(DATABASE)
  }

  async sql<Row extends object>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<readonly Row[]> {
    const ask = (): Promise<[unknown, unknown]> => this.#pool.query(text, [...values])
    // A pool does not notice that its server was killed and came back before it asks.
    const [rows] = await ask().catch((error: unknown) => {
      if (!isBroken(error)) throw error
      return ask()
    })
    return rows as readonly Row[]
  }

  async addItems(items: readonly string[]): Promise<void> {
    await this.sql('INSERT INTO item VALUES ?', [items.map((item) => [item, 1])])
  }

  async stateOf(item: string): Promise<{ amount: number; isLocked: boolean }> {
    const select = 'SELECT amount FROM item WHERE id = ?'
    const [row] = await this.sql<{ amount: number }>(select, [item])
    const free = await this.sql(`${select} FOR UPDATE SKIP LOCKED`, [item])
    return { amount: row?.amount ?? Number.NaN, isLocked: free.length === 0 }
  }

  async markOf(txid: string): Promise<string | undefined> {
    const select = 'SELECT decision FROM assent.mark WHERE txid = ?'
    const rows = await this.sql<{ decision: string }>(select, [txid]).catch((error: unknown) => {
      if (MISSING.includes((error as { errno?: number }).errno ?? 0)) return []
      throw error
    })
    return rows[0]?.decision
  }

  async newestEpoch(): Promise<string | undefined> {
    const text = 'SELECT id FROM assent.epoch ORDER BY ordinal DESC LIMIT 1'
    return (await this.sql<{ id: string }>(text))[0]?.id
  }

  async prepared(): Promise<readonly string[]> {
    const rows = await this.sql<{ gtrid_length: number; data: Buffer }>('XA RECOVER')
    return rows
      .map(({ gtrid_length: length, data }) =>
        [data.subarray(0, length), data.subarray(length)].map(String).join('.'),
      )
      .toSorted()
  }

  async endByHand(listed: string, ending: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    const [, gtrid = '', bqual = ''] = XID.exec(listed) ?? []
    await this.sql(`XA ${ending} '${gtrid}','${bqual}',16723`)
  }

  /** Its list of sessions knows no names. */
  async countSessions({ clientPorts }: Sessions): Promise<number> {
    if (clientPorts.length === 0) return 0
    const text = 'SELECT id FROM information_schema.processlist WHERE host IN (?)'
    return (await this.sql(text, [clientPorts.map((port) => `127.0.0.1:${port}`)])).length
  }

  async close(): Promise<void> {
    await this.#pool.end()
    await this.server.remove()
  }
}

function isBroken(error: unknown): boolean {
  const { code = '' } = error as { code?: string }
  return ['ECONNRESET', 'EPIPE', 'PROTOCOL_CONNECTION_LOST', 'ECONNREFUSED'].includes(code)
}
