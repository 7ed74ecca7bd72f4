/**
 * Owns: the life of one real database server with a folder of its own, whichever kind it is.
 * Promises: after start() it answers a query; after kill() every one of its processes died in one
 * instant, as in a power cut of the database alone; after remove() nothing of it is left. The port
 * and password stay the same over restarts.
 * Never: runs as root, listens elsewhere than on 127.0.0.1, or signals a process by its name.
 *
 * If this process ends, its servers end too: installExitCleanup() (exit-cleanup.ts) sees to it on
 * exit, SIGINT and SIGTERM, and a watchdog (server-watchdog.ts) when we are killed with SIGKILL.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, within } from './eventually.ts'
import { forgetAtExit, removeAtExit } from './exit-cleanup.ts'
import { freeLoopbackPort, portAnswers } from './loopback-port.ts'
import { isGone, killTree, send } from './process-table.ts'
import type { RunAs } from './run-as.ts'
import { type RunningProgram, type ServerProgram, spawnServer } from './server-program.ts'
import { ServerWatchdog } from './server-watchdog.ts'

export type Settings = Readonly<Record<string, string>>
export type CommandLine = Pick<ServerProgram, 'path' | 'flags' | 'input'>

export interface ServerOptions {
  /** Appears in the folder's name and in error messages. */
  readonly name: string
  /** The folder below which the server's own is made; default: the system's temporary folder. */
  readonly parent?: string
  /** Overrides of the kind's own settings. */
  readonly settings?: Settings
  /** A folder with the server's programs; default: those that the tests run on. */
  readonly binaries?: string
  /** Environment variables of the server itself, e.g. `{ LD_PRELOAD: … }`. */
  readonly env?: Readonly<Record<string, string>>
}

/** What a kind gives to each of its servers. */
export interface ServerHome {
  readonly folder: string
  readonly user: RunAs
  readonly defaults: Settings
}

type ServerState =
  | { readonly kind: 'stopped' }
  | ({ readonly kind: 'running' } & RunningProgram)
  | { readonly kind: 'removed' }

const initializeTimeoutMs = 60_000
const startTimeoutMs = 60_000 // Crash recovery may have much to replay.
const stopTimeoutMs = 30_000
const killTimeoutMs = 10_000
const maxPortAttempts = 5
const logTailBytes = 4_000
/** How long a kind may wait for the answer that tells whether the server is ready. */
export const probeTimeoutMs = 2_000

export abstract class LoopbackServer {
  readonly name: string
  readonly folder: string
  readonly password = randomBytes(18).toString('base64url')
  protected readonly settings: Settings
  protected readonly runAs: RunAs
  readonly #env: Readonly<Record<string, string>>
  readonly #watchdog: ServerWatchdog
  #port = 0
  #wasReady = false
  #state: ServerState = { kind: 'stopped' }

  /** Who logs in. May do everything. */
  abstract readonly user: string
  /** Asks the server to end its sessions and itself. */
  protected abstract readonly stopSignal: NodeJS.Signals
  abstract url(database?: string): string
  abstract createDatabase(name: string): Promise<void>
  /** Fills the data folder, once. */
  protected abstract initialize(): Promise<void>
  protected abstract serve(port: number): CommandLine
  /** Asks it a query, or throws what it answers instead. Waits no longer than probeTimeoutMs. */
  protected abstract ask(): Promise<void>
  /** Before each start: what a kill left in the data folder and would prevent it. */
  protected dropStaleLock(): void {}
  /** Behind its last process: what a kill left outside the folder. */
  protected dropLeftovers(): void {}

  /** Makes a server and its data folder, or throws and leaves nothing. */
  protected static async made<S extends LoopbackServer>(folder: string, make: () => S): Promise<S> {
    let server: S
    try {
      server = make()
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
    removeAtExit(server)
    try {
      await server.initialize()
      return server
    } catch (error) {
      server.removeNow()
      throw error
    }
  }

  protected constructor(home: ServerHome, { name, settings, env = {} }: ServerOptions) {
    const { folder, user, defaults } = home
    this.name = name
    this.folder = folder
    this.settings = { ...defaults, ...settings }
    this.runAs = user
    this.#env = env
    this.#watchdog = new ServerWatchdog(folder, user)
  }

  get port(): number {
    if (this.#port === 0) throw new Error(`${this.name} has no port before its first start`)
    return this.#port
  }

  get isRunning(): boolean {
    return this.#state.kind === 'running'
  }

  /** The process id of the program that was started; of PostgreSQL, that is the postmaster. */
  get pid(): number {
    if (this.#state.kind !== 'running') throw new Error(`${this.name} is ${this.#state.kind}`)
    const { pid } = this.#state.child
    if (pid === undefined) throw new Error(`${this.name} could not be spawned`)
    return pid
  }

  /** Starts it, after a stop or a kill alike, and waits until it answers a query. */
  async start(): Promise<void> {
    if (this.#state.kind !== 'stopped') throw new Error(`${this.name} is ${this.#state.kind}`)
    this.dropStaleLock()
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

  /** A fast shutdown: sessions are ended, what is prepared stays, everything is written out. */
  async stop(): Promise<void> {
    if (this.#state.kind !== 'running') return
    const { exit } = this.#state
    send(this.pid, this.stopSignal)
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

  protected get dataFolder(): string {
    return join(this.folder, 'data')
  }

  /** Runs a program that ends by itself. @throws Error with the end of the log, if it failed */
  protected async run(what: string, commandLine: CommandLine): Promise<void> {
    const { exit } = this.#spawn(commandLine)
    const ending = await within(`${what} of ${this.name}`, exit, initializeTimeoutMs)
    if (ending === 'exit code 0') return
    throw new Error(`${what} of ${this.name}: ${ending}\n${this.logTail()}`)
  }

  get #logPath(): string {
    return join(this.folder, 'server.log')
  }

  async #launch(): Promise<void> {
    const running = this.#spawn(this.serve(this.#port), this.#env)
    this.#state = { kind: 'running', ...running }
    let ended: string | undefined
    void running.exit.then((ending) => {
      ended = ending
      const isOurs = this.#state.kind === 'running' && this.#state.child === running.child
      if (isOurs) this.#state = { kind: 'stopped' }
    })
    let refusal = 'nothing yet'
    const answers = async () => {
      if (ended !== undefined) throw new Error(`it ended with ${ended}`)
      refusal = await this.ask().then(() => '', reasonOf)
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

  #spawn(commandLine: CommandLine, env: ServerOptions['env'] = {}): RunningProgram {
    return spawnServer({
      ...commandLine,
      folder: this.folder,
      log: this.#logPath,
      user: this.runAs,
      watchdog: this.#watchdog,
      env,
    })
  }

  #erase(): void {
    this.dropLeftovers()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
    this.#watchdog.dismiss()
    this.#state = { kind: 'removed' }
    forgetAtExit(this)
  }
}

/** Of a connection that was refused at several addresses, only the code says it. */
function reasonOf(error: unknown): string {
  return (error as Error).message || String((error as NodeJS.ErrnoException).code)
}
