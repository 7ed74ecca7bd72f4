/**
 * Owns: one real PostgreSQL server with a data folder of its own, from initdb to removal.
 * Promises: what loopback-server.ts promises of every server. It is as durable as in production
 * (fsync is on).
 * Never: leaves a shared memory segment behind, or trusts a lock file of a dead server.
 *
 * Every server gets its own initdb (0.4 s) rather than a copy of a template: a copy would have the
 * same system identifier, and code that tells servers apart by it would be tested on a lie.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import {
  type CommandLine,
  LoopbackServer,
  probeTimeoutMs,
  type ServerHome,
  type ServerOptions,
  type Settings,
} from './loopback-server.ts'
import {
  binariesIn,
  chosenBinaries,
  type PostgresBinaries,
  reachableBinaries,
} from './postgres-binaries.ts'
import { commandLineOf, isGone } from './process-table.ts'
import { giveTo, makeFolderFor, runAs } from './run-as.ts'
import { forgetSharedMemory } from './shared-memory.ts'

/** Settings such as `{ max_prepared_transactions: '0' }`; binaries: a folder with initdb. */
export type PostgresServerOptions = ServerOptions

const defaultSettings: Settings = {
  fsync: 'on',
  max_prepared_transactions: '64',
  max_connections: '200',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '32MB',
  max_wal_size: '256MB',
  // In the data folder instead of /dev/shm, where a killed and removed server would leave files.
  dynamic_shared_memory_type: 'mmap',
}

export class PostgresServer extends LoopbackServer {
  readonly user = 'postgres'
  protected readonly stopSignal = 'SIGINT'
  readonly #binaries: PostgresBinaries

  /** Makes the data folder (initdb). The server isn't started yet. */
  static async create(options: PostgresServerOptions): Promise<PostgresServer> {
    const user = runAs()
    const found = options.binaries ? binariesIn(options.binaries) : await chosenBinaries()
    const folder = makeFolderFor(user, `assent-pg-${options.name}-`, options.parent)
    const home = { folder, user, defaults: defaultSettings }
    return LoopbackServer.made(folder, () => {
      const binaries = reachableBinaries(found, user, folder)
      return new PostgresServer(home, options, binaries)
    })
  }

  private constructor(home: ServerHome, options: ServerOptions, binaries: PostgresBinaries) {
    super(home, options)
    this.#binaries = binaries
  }

  url(database = 'postgres'): string {
    const host = `127.0.0.1:${this.port}`
    return `postgresql://${this.user}:${this.password}@${host}/${encodeURIComponent(database)}`
  }

  async createDatabase(name: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.url() })
    await client.connect()
    try {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
    } finally {
      await client.end()
    }
  }

  protected async initialize(): Promise<void> {
    const passwordPath = join(this.folder, 'password')
    writeFileSync(passwordPath, `${this.password}\n`, { mode: 0o600 })
    giveTo(this.runAs, passwordPath)
    const flags = [
      ...['-D', this.dataFolder, '-U', this.user, '-E', 'UTF8', '--locale=C', '--no-sync'],
      ...['--auth=scram-sha-256', `--pwfile=${passwordPath}`],
    ]
    await this.run('initdb', { path: this.#binaries.initdb, flags })
    rmSync(passwordPath)
  }

  protected serve(port: number): CommandLine {
    const settings = Object.entries({ ...this.settings, port: String(port) })
    const flags = settings.flatMap(([key, value]) => ['-c', `${key}=${value}`])
    return { path: this.#binaries.postgres, flags: ['-D', this.dataFolder, ...flags] }
  }

  protected async ask(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.url(),
      connectionTimeoutMillis: probeTimeoutMs,
      query_timeout: probeTimeoutMs,
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('SELECT 1')
    } finally {
      void client.end().catch(() => undefined)
    }
  }

  /**
   * After a kill, postmaster.pid is still there. PostgreSQL copes, unless that process id belongs
   * by now to another process of the same user, such as a second server of this harness.
   */
  protected override dropStaleLock(): void {
    const path = join(this.dataFolder, 'postmaster.pid')
    try {
      const pid = Number(readFileSync(path, 'utf8').split('\n')[0])
      if (!isGone(pid) && !commandLineOf(pid).includes(this.dataFolder)) rmSync(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  protected override dropLeftovers(): void {
    forgetSharedMemory(this.dataFolder)
  }
}
