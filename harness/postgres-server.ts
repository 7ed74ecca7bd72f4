/**
 * Owns: one real PostgreSQL server with a data folder of its own, from initdb to removal.
 * Promises: after start() it accepts connections; after kill() every one of its processes died in
 * one instant, as in a power cut of the database alone; after remove() nothing of it is left. The
 * port and password stay the same over restarts. It is as durable as in production (fsync is on).
 * Never: runs as root, listens elsewhere than on 127.0.0.1, or signals a process by its name.
 *
 * If this process ends, its servers end too: installExitCleanup() sees to it on exit, SIGINT and
 * SIGTERM, and a watchdog (server-watchdog.ts) when we are killed with SIGKILL.
 *
 * Every server gets its own initdb (0.4 s) rather than a copy of a template: a copy would have the
 * same system identifier, and code that tells servers apart by it would be tested on a lie.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { eventually, within } from './eventually.ts'
import { freeLoopbackPort, portAnswers } from './loopback-port.ts'
import {
  binariesIn,
  chosenBinaries,
  type PostgresBinaries,
  reachableBinaries,
  reachableTemporaryFolder,
  type RunAs,
  runAs,
} from './postgres-binaries.ts'
import { forgetSharedMemory } from './shared-memory.ts'
import { commandLineOf, isGone, killTree, send } from './process-table.ts'
import { ServerWatchdog } from './server-watchdog.ts'

export interface PostgresServerOptions {
  /** Appears in the folder's name and in error messages. */
  readonly name: string
  /** The folder below which the server's own is made; default: the system's temporary folder. */
  readonly parent?: string
  /** Overrides of the settings below, e.g. `{ max_prepared_transactions: '0' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** A folder with initdb and postgres; default: those that the tests run on. */
  readonly binaries?: string
}

type ServerState =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'running'; readonly child: ChildProcess; readonly exit: Promise<string> }
  | { readonly kind: 'removed' }

const defaultSettings: Readonly<Record<string, string>> = {
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

const initdbTimeoutMs = 60_000
const startTimeoutMs = 60_000 // Crash recovery may have much to replay.
const stopTimeoutMs = 30_000
const killTimeoutMs = 10_000
const probeTimeoutMs = 2_000
const maxPortAttempts = 5
const logTailBytes = 4_000

export class PostgresServer {
  readonly name: string
  readonly folder: string
  readonly user = 'postgres'
  readonly password: string
  readonly #settings: Readonly<Record<string, string>>
  readonly #binaries: PostgresBinaries
  readonly #runAs: RunAs
  readonly #watchdog: ServerWatchdog
  #port = 0
  #wasReady = false
  #state: ServerState = { kind: 'stopped' }

  /** Makes the data folder (initdb). The server isn't started yet. */
  static async create(options: PostgresServerOptions): Promise<PostgresServer> {
    const user = runAs()
    const found = options.binaries ? binariesIn(options.binaries) : await chosenBinaries()
    const parent = options.parent ?? reachableTemporaryFolder(user)
    const folder = mkdtempSync(join(parent, `assent-pg-${options.name}-`))
    let binaries: PostgresBinaries
    try {
      chmodSync(folder, 0o755) // mkdtemp makes 0700, which the server's user couldn't enter.
      if ('uid' in user) chownSync(folder, user.uid, user.gid)
      binaries = reachableBinaries(found, user, folder)
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
    const server = new PostgresServer(options, folder, binaries, user)
    liveServers.add(server)
    try {
      await server.#initialize()
      return server
    } catch (error) {
      server.removeNow()
      throw error
    }
  }

  private constructor(
    options: PostgresServerOptions,
    folder: string,
    binaries: PostgresBinaries,
    user: RunAs,
  ) {
    this.name = options.name
    this.folder = folder
    this.password = randomBytes(18).toString('base64url')
    this.#settings = { ...defaultSettings, ...options.settings }
    this.#binaries = binaries
    this.#runAs = user
    this.#watchdog = new ServerWatchdog(folder, user)
  }

  get port(): number {
    if (this.#port === 0) throw new Error(`${this.name} has no port before its first start`)
    return this.#port
  }

  get isRunning(): boolean {
    return this.#state.kind === 'running'
  }

  /** The postmaster's process id. */
  get pid(): number {
    if (this.#state.kind !== 'running') throw new Error(`${this.name} is ${this.#state.kind}`)
    const { pid } = this.#state.child
    if (pid === undefined) throw new Error(`${this.name} could not be spawned`)
    return pid
  }

  url(database = 'postgres'): string {
    const host = `127.0.0.1:${this.port}`
    return `postgresql://${this.user}:${this.password}@${host}/${encodeURIComponent(database)}`
  }

  /** Starts it, after a stop or a kill alike, and waits until it answers a query. */
  async start(): Promise<void> {
    if (this.#state.kind !== 'stopped') throw new Error(`${this.name} is ${this.#state.kind}`)
    this.#dropForeignLock()
    for (let attempt = 1; ; attempt += 1) {
      if (!this.#wasReady) this.#port = await freeLoopbackPort()
      try {
        await this.#launch()
        this.#wasReady = true
        return
      } catch (error) {
        // Somebody was faster on that port. Once clients know the port, it can't be changed.
        const lostRace = !this.#wasReady && this.logTail().includes('Address already in use')
        if (!lostRace || attempt >= maxPortAttempts) throw error
      }
    }
  }

  /** A fast shutdown: sessions are ended, prepared transactions stay, a checkpoint is written. */
  async stop(): Promise<void> {
    if (this.#state.kind !== 'running') return
    const { exit } = this.#state
    send(this.pid, 'SIGINT')
    try {
      await within(`${this.name} to stop`, exit, stopTimeoutMs)
    } catch (error) {
      const tail = this.logTail()
      await this.kill()
      throw new Error(`${(error as Error).message}; its log ends:\n${tail}`, { cause: error })
    }
  }

  /** Ends all its processes with SIGKILL at once, and waits until nothing of it runs or listens. */
  async kill(): Promise<void> {
    if (this.#state.kind !== 'running') return
    const { exit } = this.#state
    const killed = killTree(this.pid)
    const patience = { timeoutMs: killTimeoutMs, everyMs: 2 }
    await within(`${this.name} to die`, exit, killTimeoutMs)
    await eventually(`the children of ${this.name} to die`, () => killed.every(isGone), patience)
    const silent = async () => !(await portAnswers(this.port))
    await eventually(`port ${this.port} of ${this.name} to fall silent`, silent, patience)
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
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

  /** Stops it and deletes its folder. */
  async remove(): Promise<void> {
    if (this.#state.kind === 'removed') return
    try {
      await this.stop()
    } finally {
      this.#erase()
    }
  }

  /** For exit handlers, which can't wait for promises. */
  removeNow(): void {
    if (this.#state.kind === 'removed') return
    const killed = this.#state.kind === 'running' ? killTree(this.pid) : []
    const deadline = Date.now() + killTimeoutMs
    const clock = new Int32Array(new SharedArrayBuffer(4))
    while (!killed.every(isGone) && Date.now() < deadline) Atomics.wait(clock, 0, 0, 2)
    this.#erase()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove()
  }

  /** The end of the server's own log. */
  logTail(): string {
    try {
      const log = readFileSync(this.#logPath)
      return log.subarray(Math.max(0, log.length - logTailBytes)).toString('utf8')
    } catch {
      return '(no log)'
    }
  }

  get #dataFolder(): string {
    return join(this.folder, 'data')
  }

  get #logPath(): string {
    return join(this.folder, 'server.log')
  }

  async #initialize(): Promise<void> {
    const passwordPath = join(this.folder, 'password')
    writeFileSync(passwordPath, `${this.password}\n`, { mode: 0o600 })
    if ('uid' in this.#runAs) chownSync(passwordPath, this.#runAs.uid, this.#runAs.gid)
    const { exit } = this.#spawn(this.#binaries.initdb, [
      ...['-D', this.#dataFolder, '-U', this.user, '-E', 'UTF8', '--locale=C', '--no-sync'],
      ...['--auth=scram-sha-256', `--pwfile=${passwordPath}`],
    ])
    const ending = await within(`initdb of ${this.name}`, exit, initdbTimeoutMs)
    rmSync(passwordPath)
    if (ending !== 'exit code 0') {
      throw new Error(`initdb of ${this.name}: ${ending}\n${this.logTail()}`)
    }
  }

  async #launch(): Promise<void> {
    const settings = Object.entries({ ...this.#settings, port: String(this.#port) })
    const flags = settings.flatMap(([key, value]) => ['-c', `${key}=${value}`])
    const { child, exit } = this.#spawn(this.#binaries.postgres, ['-D', this.#dataFolder, ...flags])
    this.#state = { kind: 'running', child, exit }
    let ended: string | undefined
    void exit.then((ending) => {
      ended = ending
      const isOurs = this.#state.kind === 'running' && this.#state.child === child
      if (isOurs) this.#state = { kind: 'stopped' }
    })
    let refusal = 'nothing yet'
    const answers = async () => {
      if (ended !== undefined) throw new Error(`it ended with ${ended}`)
      refusal = await this.#ask()
      return refusal === ''
    }
    try {
      await eventually('an answer', answers, { timeoutMs: startTimeoutMs, everyMs: 20 })
    } catch (error) {
      await this.kill()
      const reason = `${(error as Error).message}, last refusal: ${refusal}`
      const story = `${this.name} did not start: ${reason}\nits log ends:\n${this.logTail()}`
      throw new Error(story, { cause: error })
    }
  }

  /** Why it doesn't answer yet, or '' if it does. */
  async #ask(): Promise<string> {
    const client = new pg.Client({
      connectionString: this.url(),
      connectionTimeoutMillis: probeTimeoutMs,
      query_timeout: probeTimeoutMs,
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('SELECT 1')
      return ''
    } catch (error) {
      return (error as Error).message || String((error as NodeJS.ErrnoException).code)
    } finally {
      void client.end().catch(() => undefined)
    }
  }

  #spawn(
    program: string,
    flags: readonly string[],
  ): { child: ChildProcess; exit: Promise<string> } {
    const log = openSync(this.#logPath, 'a')
    const child = spawn(program, flags, {
      ...this.#runAs,
      cwd: this.folder,
      // Nothing of our PG* variables, locale or time zone may reach the server.
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      // A session of its own: Ctrl-C in the terminal must reach only us.
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    if (child.pid !== undefined) this.#watchdog.announce(child.pid)
    const exit = new Promise<string>((resolve) => {
      child.once('error', (error) => {
        resolve(error.message)
      })
      child.once('exit', (code, signal) => {
        resolve(signal ?? `exit code ${String(code)}`)
      })
    })
    child.unref() // A forgotten server must not keep this process alive; exit cleanup ends it.
    return { child, exit }
  }

  /**
   * After a kill, postmaster.pid is still there. PostgreSQL copes, unless that process id belongs
   * by now to another process of the same user, such as a second server of this harness.
   */
  #dropForeignLock(): void {
    const path = join(this.#dataFolder, 'postmaster.pid')
    try {
      const pid = Number(readFileSync(path, 'utf8').split('\n')[0])
      if (!isGone(pid) && !commandLineOf(pid).includes(this.#dataFolder)) rmSync(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  #erase(): void {
    forgetSharedMemory(this.#dataFolder)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
    this.#watchdog.dismiss()
    this.#state = { kind: 'removed' }
    liveServers.delete(this)
  }
}

const liveServers = new Set<PostgresServer>()
let cleanupInstalled = false

/**
 * Ends and removes this process' servers when it exits or is asked to end. Where the program
 * itself listens for the signal, it decides when to exit, and the servers live until then.
 */
export function installExitCleanup(): void {
  if (cleanupInstalled) return
  cleanupInstalled = true
  process.on('exit', removeAllNow)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const onSignal = () => {
      if (process.listenerCount(signal) > 1) return
      removeAllNow()
      process.removeListener(signal, onSignal)
      process.kill(process.pid, signal) // So that our parent sees the true cause of death.
    }
    process.on(signal, onSignal)
  }
}

function removeAllNow(): void {
  for (const server of liveServers) server.removeNow()
}
