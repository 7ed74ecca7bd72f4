/**
 * Owns: one real PgBouncer in transaction mode before one PostgreSQL server.
 * Promises: after start() it accepts connections, on the same port over restarts; after kill() it
 * died in one instant; after remove() nothing of it is left. Clients log in as the server's
 * superuser, without a password.
 * Never: runs as root, listens elsewhere than on 127.0.0.1, or outlives this process.
 *
 * Which server connection a client gets is the pooler's choice, for every transaction anew: the one
 * that was used last is given first. A test that needs another one keeps that one busy.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, within } from './eventually.ts'
import { freeLoopbackPort, portAnswers } from './loopback-port.ts'
import { giveTo, makeFolderFor, type RunAs, runAs } from './run-as.ts'
import { type RunningProgram, spawnServer } from './server-program.ts'
import { ServerWatchdog } from './server-watchdog.ts'

export interface PgbouncerOptions {
  readonly name: string
  /** The url of the server that it leads to. */
  readonly server: string
  /** How many connections it opens to each database. */
  readonly poolSize?: number
  readonly poolMode?: 'transaction' | 'session'
}

type State =
  | { readonly kind: 'stopped' }
  | ({ readonly kind: 'running' } & RunningProgram)
  | { readonly kind: 'removed' }

const timeoutMs = 10_000

/** The program, as a distribution installs it; undefined where it is missing. */
export function findPgbouncer(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path))
}

export class Pgbouncer {
  readonly name: string
  readonly port: number
  readonly #folder: string
  readonly #program: string
  readonly #runAs: RunAs
  readonly #watchdog: ServerWatchdog
  #state: State = { kind: 'stopped' }

  static async start(options: PgbouncerOptions): Promise<Pgbouncer> {
    const program = findPgbouncer()
    if (program === undefined) throw new Error('no pgbouncer here: apt-get install pgbouncer')
    const user = runAs()
    const folder = makeFolderFor(user, `assent-pgbouncer-${options.name}-`)
    const port = await freeLoopbackPort()
    const config = join(folder, 'pgbouncer.ini')
    writeFileSync(config, configuration(options, port), { mode: 0o600 })
    giveTo(user, config)
    const pooler = new Pgbouncer({ options, folder, port, program, user })
    await pooler.start()
    return pooler
  }

  private constructor(facts: {
    readonly options: PgbouncerOptions
    readonly folder: string
    readonly port: number
    readonly program: string
    readonly user: RunAs
  }) {
    this.name = facts.options.name
    this.port = facts.port
    this.#folder = facts.folder
    this.#program = facts.program
    this.#runAs = facts.user
    this.#watchdog = new ServerWatchdog(facts.folder, facts.user)
  }

  /** A url of the server, leading through the pooler. */
  url(serverUrl: string): string {
    const url = new URL(serverUrl)
    url.port = String(this.port)
    return url.href
  }

  async start(): Promise<void> {
    if (this.#state.kind !== 'stopped') throw new Error(`${this.name} is ${this.#state.kind}`)
    const running = spawnServer({
      path: this.#program,
      flags: [join(this.#folder, 'pgbouncer.ini')],
      folder: this.#folder,
      log: this.#logPath,
      user: this.#runAs,
      watchdog: this.#watchdog,
    })
    this.#state = { kind: 'running', ...running }
    let ended: string | undefined
    void running.exit.then((ending) => {
      ended = ending
    })
    const answers = () => {
      if (ended !== undefined) throw new Error(`${this.name}: ${ended}\n${this.log()}`)
      return portAnswers(this.port)
    }
    await eventually(`${this.name} to listen`, answers, { timeoutMs })
  }

  /** Ends it at once, and every connection through it. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** What an operator's restart does: closes all connections, and comes back. */
  async restart(): Promise<void> {
    await this.#end('SIGTERM')
    await this.start()
  }

  async remove(): Promise<void> {
    if (this.#state.kind === 'removed') return
    await this.#end('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
    this.#watchdog.dismiss()
    this.#state = { kind: 'removed' }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove()
  }

  log(): string {
    return existsSync(this.#logPath) ? readFileSync(this.#logPath, 'utf8') : '(no log)'
  }

  get #logPath(): string {
    return join(this.#folder, 'pgbouncer.log')
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (this.#state.kind !== 'running') return
    const { child, exit } = this.#state
    child.kill(signal)
    await within(`${this.name} to end`, exit, timeoutMs)
    this.#state = { kind: 'stopped' }
  }
}

function configuration(options: PgbouncerOptions, port: number): string {
  const { server, poolSize = 20, poolMode = 'transaction' } = options
  const { port: target, username, password } = new URL(server)
  return `[databases]
* = host=127.0.0.1 port=${target} user=${username} password=${password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${poolMode}
default_pool_size = ${poolSize}
max_client_conn = 400
server_login_retry = 1
`
}
