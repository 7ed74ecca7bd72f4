/**
 * Owns: one real MariaDB server with a data folder of its own, from its first table to removal.
 * Promises: what loopback-server.ts promises of every server. It is as durable as in production
 * (innodb_flush_log_at_trx_commit is 1). Nobody can log in without the password.
 * Never: opens a socket or keeps a temporary file outside its folder, or reads a configuration
 * file.
 *
 * The data folder is filled by the server itself (--bootstrap), as mariadb-install-db would have
 * it, but without help texts and without its users: less than half of the time. What tells two
 * MariaDB servers of one host apart is the port alone: server_uid is computed from the host and the
 * port (two data folders at one port had the same one, 11.4.5 and 10.11.19), so nothing of it is in
 * there.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import mysql from 'mysql2/promise'
import {
  type CommandLine,
  LoopbackServer,
  probeTimeoutMs,
  type ServerHome,
  type ServerOptions,
  type Settings,
} from './loopback-server.ts'
import { eventually } from './eventually.ts'
import { chosenMariadb, type MariadbBinaries, mariadbIn } from './mariadb-binaries.ts'
import { giveTo, makeFolderFor, runAs } from './run-as.ts'

/** Settings such as `{ log_bin: 'binlog' }`; binaries: an installation's folder, such as /usr. */
export type MariadbServerOptions = ServerOptions

const defaultSettings: Settings = {
  innodb_flush_log_at_trx_commit: '1',
  innodb_buffer_pool_size: '32M',
  innodb_log_file_size: '32M',
  max_connections: '200',
  table_open_cache: '400',
  performance_schema: 'OFF',
  bind_address: '127.0.0.1',
  skip_name_resolve: 'ON',
  // With it, 11.4 makes itself a certificate at each start: 3 to 6 s.
  ssl: 'OFF',
  // `loose`: MySQL has no Aria.
  loose_aria_pagecache_buffer_size: '8M',
}

export class MariadbServer extends LoopbackServer {
  readonly user = 'assent_test'
  protected readonly stopSignal = 'SIGTERM'
  readonly #binaries: MariadbBinaries
  /** The second in which it was last ready, after which no start of it lies. */
  #readyAt = 0

  /** Fills the data folder. The server isn't started yet. */
  static async create(options: MariadbServerOptions): Promise<MariadbServer> {
    const user = runAs()
    const { name, parent } = options
    const binaries = options.binaries ? mariadbIn(options.binaries) : await chosenMariadb(user)
    const folder = makeFolderFor(user, `assent-maria-${name}-`, parent)
    const home = { folder, user, defaults: defaultSettings }
    return LoopbackServer.made(folder, () => new MariadbServer(home, options, binaries))
  }

  private constructor(home: ServerHome, options: ServerOptions, binaries: MariadbBinaries) {
    super(home, options)
    this.#binaries = binaries
  }

  /**
   * Starts of a server are told apart by their second, and the numbers of connections begin anew with
   * each: no real server is started twice in one.
   */
  override async start(): Promise<void> {
    const isLater = (): boolean => secondNow() > this.#readyAt
    await eventually('another second than that of the last start', isLater, { everyMs: 10 })
    await super.start()
    this.#readyAt = secondNow()
  }

  /** For mysql2; without a database, unless one is named. */
  url(database = ''): string {
    const host = `127.0.0.1:${this.port}`
    return `mysql://${this.user}:${this.password}@${host}/${encodeURIComponent(database)}`
  }

  async createDatabase(name: string): Promise<void> {
    const connection = await mysql.createConnection(this.url())
    try {
      await connection.query(`CREATE DATABASE ${mysql.escapeId(name, true)}`)
    } finally {
      await connection.end()
    }
  }

  protected async initialize(): Promise<void> {
    const tables = this.#binaries.systemTables.map((path) => readFileSync(path, 'utf8'))
    const input = ['CREATE DATABASE mysql;', 'USE mysql;', ...tables, this.#users()].join('\n')
    const shaping = Object.entries(this.settings).filter(([key]) => key.startsWith('innodb_'))
    const flags = [
      ...this.#places(),
      ...['--bootstrap', '--log_warnings=0'],
      // As mariadb-install-db has it: some of these statements are long.
      ...['--max_allowed_packet=8M', '--net_buffer_length=16K'],
      // The files have to be those that the server will expect.
      ...shaping.map(([key, value]) => `--${key}=${value}`),
      // As initdb's --no-sync: half of the time was waiting for the disk.
      ...['--innodb_flush_method=nosync', '--loose_debug_no_sync'],
    ]
    mkdirSync(this.dataFolder, { mode: 0o700 })
    giveTo(this.runAs, this.dataFolder)
    await this.run('bootstrap', { path: this.#binaries.server, flags, input })
  }

  protected serve(port: number): CommandLine {
    // The socket and the pid file are relative to the data folder, which the server makes its own:
    // a socket's whole path must stay below 107 characters.
    const settings = { ...this.settings, port: String(port), socket: 's', pid_file: 'pid' }
    const flags = Object.entries(settings).map(([key, value]) => `--${key}=${value}`)
    return { path: this.#binaries.server, flags: [...this.#places(), ...flags] }
  }

  protected async ask(): Promise<void> {
    const connectTimeout = probeTimeoutMs
    const connection = await mysql.createConnection({ uri: this.url(), connectTimeout })
    try {
      await connection.query({ sql: 'SELECT 1', timeout: probeTimeoutMs })
    } finally {
      connection.destroy()
    }
  }

  #places(): readonly string[] {
    return [
      '--no-defaults', // Must be the first.
      `--datadir=${this.dataFolder}`,
      `--lc_messages_dir=${this.#binaries.share}`,
      // Temporary tables on disk have names, and a kill would leave them.
      `--tmpdir=${this.folder}`,
    ]
  }

  /** FLUSH PRIVILEGES makes a bootstrap know of users, which it otherwise has none of. */
  #users(): string {
    const password = `IDENTIFIED BY '${this.password}'`
    return [
      'FLUSH PRIVILEGES;',
      ...[`'root'@'localhost'`, `'${this.user}'@'127.0.0.1'`].flatMap((user) => [
        `CREATE USER ${user} ${password};`,
        `GRANT ALL PRIVILEGES ON *.* TO ${user} WITH GRANT OPTION;\n`,
      ]),
    ].join('\n')
  }
}

function secondNow(): number {
  return Math.floor(Date.now() / 1_000)
}
