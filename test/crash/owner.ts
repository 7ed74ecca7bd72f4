/**
 * Owns: one process that runs a transaction (owner.program.ts), and the proxies between it and its
 * databases, which name its messages and kill it at one of them.
 * Promises: what the proxies let through is recorded in one order over all databases; after a kill
 * by a proxy, nothing of the message or answer at which it happened is forwarded.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually, within } from '../../harness/eventually.ts'
import { nodeProgram } from '../../harness/fixture-process.ts'
import { type MaybeLater, type Verdict, WireProxy } from '../../harness/wire-proxy.ts'
import type { CrashCluster } from './crash-cluster.ts'
import type { CrashPoint, Stage } from './crash-points.ts'
import { MessageNames } from './message-names.ts'
import { SETTING } from './owner-setting.ts'
import type { Note, OwnerSetting } from './owner-setting.ts'
import { answered, sent } from './transcript.ts'
import type { WireEvent } from './transcript.ts'

export interface Scenario {
  /** In the order of use: the first decides. */
  readonly writes: readonly string[]
  readonly reads: readonly string[]
  readonly resolveWhen?: 'applied' | 'decided'
  /** Whether a kill by a proxy waits until the process has written down its answer. */
  readonly diesWhen?: 'reached' | 'answered'
}

const PROGRAM = fileURLToPath(new URL('./owner.program.ts', import.meta.url))
const BOOT_MS = 30_000
const RUN_MS = 20_000

export class Owner {
  readonly item: string
  readonly events: WireEvent[] = []
  readonly #proxies: readonly WireProxy[]
  readonly #child: ChildProcess
  readonly #notesPath: string
  readonly #ended: Promise<unknown[]>
  #errors = ''

  /** Returns when the process is warm: it has run a transaction, and waits for `go`. */
  static async start(
    cluster: CrashCluster,
    scenario: Scenario,
    point: CrashPoint | undefined,
  ): Promise<Owner> {
    const item = await cluster.newItem()
    const proxies = await Promise.all(
      cluster.databases.map(({ server }) => WireProxy.listen({ targetPort: server.port })),
    )
    const owner = new Owner(cluster, scenario, point, item, proxies)
    const warm = once(owner.#child, 'message')
    const isWarm = Promise.race([warm.then(() => true), owner.#ended.then(() => false)])
    if (await within(`${item}'s owner to be warm`, isWarm, BOOT_MS)) return owner
    await owner[Symbol.asyncDispose]()
    throw new Error(`the owner of ${item} ended in its warm-up:\n${owner.errors}`)
  }

  private constructor(
    cluster: CrashCluster,
    scenario: Scenario,
    point: CrashPoint | undefined,
    item: string,
    proxies: readonly WireProxy[],
  ) {
    this.item = item
    this.#proxies = proxies
    this.#notesPath = join(cluster.folder, `${item}.notes`)
    const isOwnDeath = point?.stage === 'before sent' || point?.stage === 'answered'
    const setting: OwnerSetting = {
      databases: cluster.databases.map(({ name, server }, at) => ({
        name,
        url: proxies[at]!.url(server.url()),
        directUrl: server.url(),
      })),
      writes: scenario.writes,
      reads: scenario.reads,
      resolveWhen: scenario.resolveWhen ?? 'applied',
      item,
      notesPath: this.#notesPath,
      dieAt: isOwnDeath ? point : undefined,
    }
    this.#child = spawn(nodeProgram(), ['--conditions=assent-source', PROGRAM], {
      env: { PATH: process.env['PATH'], [SETTING]: JSON.stringify(setting) },
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()))
    this.#ended = once(this.#child, 'close')
    this.#watch(cluster, point, scenario.diesWhen ?? 'reached')
  }

  /** Everything that it printed to stderr. A process that works as it should prints nothing. */
  get errors(): string {
    return this.#errors
  }

  get connectionCount(): number {
    return this.#proxies.reduce((sum, proxy) => sum + proxy.connectionCount, 0)
  }

  /** What it had written down. */
  get notes(): readonly Note[] {
    if (!existsSync(this.#notesPath)) return []
    const lines = readFileSync(this.#notesPath, 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Note)
  }

  /** Runs the transaction; resolves when the process has ended, with its exit code or signal. */
  async run(): Promise<string> {
    this.#child.send('go')
    const ended = within(`the owner of ${this.item} to end`, this.#ended, RUN_MS)
    const [code, signal] = (await ended) as [number | null, string | null]
    return signal ?? `exit code ${String(code)}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
    await Promise.all(this.#proxies.map((proxy) => proxy.close()))
  }

  #watch(cluster: CrashCluster, point: CrashPoint | undefined, when: 'reached' | 'answered'): void {
    const names = new MessageNames()
    let isWarm = false
    this.#child.once('message', () => {
      isWarm = true
    })
    const killAt = (name: string, stage: Stage): MaybeLater<Verdict> => {
      if (point === undefined || point.message !== name || point.stage !== stage) return 'pass'
      return when === 'reached' ? this.#kill() : this.#killOnceAnswered()
    }
    for (const [at, proxy] of this.#proxies.entries()) {
      const participant = cluster.databases[at]!.name
      proxy.hooks.name = (message) => (isWarm ? names.name(participant, message) : undefined)
      proxy.hooks.onRequest = ({ name, message }) => {
        this.events.push(sent(name, message))
        return killAt(name, 'sent, not processed')
      }
      proxy.hooks.onAnswer = ({ name }, answer) => {
        this.events.push(answered(name, answer))
        return killAt(name, 'processed, not answered')
      }
    }
  }

  #kill(): Verdict {
    this.#child.kill('SIGKILL')
    return 'hold'
  }

  async #killOnceAnswered(): Promise<Verdict> {
    const isAnswered = () => this.notes.some(({ note }) => note === 'answered')
    await eventually(`the owner of ${this.item} to be answered`, isAnswered)
    return this.#kill()
  }
}
