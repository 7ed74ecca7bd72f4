/**
 * The third database of the bench, with `--pairs`: `stock` once more, on MariaDB.
 *
 * Owns: its server (ours, or the one given), a database of the bench's own on it, and reading there.
 * Promises: at the end our server is removed, and on a given one our database is dropped.
 */
import mysql from 'mysql2/promise'
import { eventually } from '../harness/eventually.ts'
import { MariadbServer } from '../harness/mariadb-server.ts'
import type { ServerCounts } from './counters.ts'
import { MARIADB_TABLES } from './workload.ts'

/**
 * What differs from MariaDB's defaults on a server of ours. As on PostgreSQL, no checkpoint falls into a
 * run: the log has room for all of it.
 */
const SERVER_SETTINGS: Readonly<Record<string, string>> = {
  innodb_buffer_pool_size: '128M',
  innodb_log_file_size: '1G',
  max_connections: '400',
}
/** What `--binlog` adds: a log of its own that each commit is forced to, as replication needs it. */
const BINLOG_SETTINGS: Readonly<Record<string, string>> = {
  log_bin: 'binlog',
  binlog_format: 'ROW',
  sync_binlog: '1',
}

export interface MariadbWish {
  /** A server to use instead of one of our own. */
  readonly url: string | undefined
  readonly binlog: 'on' | 'off'
}

export class MariadbSide {
  /** With the bench's database. */
  readonly url: string
  /** Undefined: it was given. */
  readonly server: MariadbServer | undefined
  readonly #serverUrl: string
  readonly #database: string
  readonly #control: mysql.Pool

  static async open({ url, binlog }: MariadbWish, database: string): Promise<MariadbSide> {
    if (url !== undefined) return new MariadbSide(undefined, url, database).#set()
    const settings = { ...SERVER_SETTINGS, ...(binlog === 'on' ? BINLOG_SETTINGS : {}) }
    const server = await MariadbServer.create({ name: 'mariadb', settings })
    try {
      await server.start()
      return await new MariadbSide(server, server.url(), database).#set()
    } catch (error) {
      await server.remove()
      throw error
    }
  }

  private constructor(server: MariadbServer | undefined, serverUrl: string, database: string) {
    this.server = server
    this.#serverUrl = serverUrl
    this.#database = database
    const url = new URL(serverUrl)
    url.pathname = `/${database}`
    this.url = url.href
    this.#control = mysql.createPool({ uri: this.url, connectionLimit: 1 })
  }

  async #set(): Promise<this> {
    try {
      await this.#once(`CREATE DATABASE ${this.#database}`)
      for (const statement of MARIADB_TABLES) await this.#control.query(statement)
      return this
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#control.end()
    if (this.server === undefined) await this.#once(`DROP DATABASE IF EXISTS ${this.#database}`)
    else await this.server.remove()
  }

  /** What MariaDB says of itself, and of how durable it is. */
  async settings(): Promise<Readonly<Record<string, string>>> {
    const names = ['version', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog']
    const [row] = await this.#rows(`SELECT ${names.map((name) => `@@global.${name}`).join(', ')}`)
    return Object.fromEntries(names.map((name, at) => [name, String(row?.[at])]))
  }

  async sum(): Promise<number> {
    return Number((await this.#rows('SELECT SUM(amount) FROM account'))[0]?.[0])
  }

  /** On the whole server: MariaDB lists them so. */
  async preparedCount(): Promise<number> {
    return (await this.#rows('XA RECOVER')).length
  }

  /** Once the sessions that the bench opened have ended. */
  async counts(): Promise<ServerCounts> {
    const others = `SELECT COUNT(*) FROM information_schema.PROCESSLIST
WHERE DB = DATABASE() AND ID <> CONNECTION_ID()`
    await eventually(
      'sessions to end',
      async () => Number((await this.#rows(others))[0]?.[0]) === 0,
    )
    const rows = await this.#rows(`SHOW GLOBAL STATUS WHERE Variable_name IN
('Innodb_data_fsyncs', 'Innodb_lsn_current', 'Binlog_group_commits')`)
    const read = new Map(rows.map(([name, value]) => [String(name), Number(value)]))
    const binlog = read.get('Binlog_group_commits') ?? 0
    return {
      forcedWrites: (read.get('Innodb_data_fsyncs') ?? NaN) + binlog,
      walBytes: read.get('Innodb_lsn_current') ?? NaN,
    }
  }

  async #rows(sql: string): Promise<readonly (readonly unknown[])[]> {
    const [rows] = await this.#control.query<mysql.RowDataPacket[][]>({ sql, rowsAsArray: true })
    return rows
  }

  async #once(statement: string): Promise<void> {
    const connection = await mysql.createConnection(this.#serverUrl)
    try {
      await connection.query(statement)
    } finally {
      await connection.end()
    }
  }
}
