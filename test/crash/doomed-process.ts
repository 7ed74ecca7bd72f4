/**
 * Owns: one process that does a task and is struck at one of its messages (doomed.program.ts), and
 * the proxies between it and its databases, which name its messages.
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
import { isOwnDeath } from './crash-points.ts'
import type { CrashPoint, Stage } from './crash-points.ts'
import { namer } from './message-names.ts'
import { SETTING } from './doomed-setting.ts'
import type { DoomedSetting, Note, Task } from './doomed-setting.ts'
import { answered, sent } from './transcript.ts'
import type { WireEvent } from './transcript.ts'

export interface Scenario {
  /** In the order of use: the second decides, and claims along with its first statement. */
  readonly writes: readonly string[]
  readonly reads: readonly string[]
  /** Another decider: the first that is used writes its claim last. */
  readonly decider?: string
  readonly resolveWhen?: 'applied' | 'decided'
  readonly timeoutMs?: number
}

export function deciderOf({ writes, decider }: Pick<Scenario, 'writes' | 'decider'>): string {
  return decider ?? writes[1] ?? 'nobody'
}

/** What happens to the process, and where. */
export interface Strike {
  readonly point: CrashPoint
  /** For the stages at a proxy; the default is to kill it. At the others, it kills itself. */
  readonly act?: (struck: DoomedProcess) => MaybeLater<Verdict>
}

const PROGRAM = fileURLToPath(new URL('./doomed.program.ts', import.meta.url))
const BOOT_MS = 30_000
const RUN_MS = 20_000

export class DoomedProcess {
  readonly item: string
  readonly events: WireEvent[] = []
  readonly #cluster: CrashCluster
  readonly #proxies: readonly WireProxy[]
  readonly #child: ChildProcess
  readonly #notesPath: string
  readonly #ended: Promise<unknown[]>
  #errors = ''

  /** Returns when the process is warm and waits for `run`. A transfer has run a transaction. */
  static async start(
    cluster: CrashCluster,
    task: Task,
    scenario: Scenario,
    strike?: Strike,
  ): Promise<DoomedProcess> {
    const item = await cluster.newItem()
    const proxies = await Promise.all(
      cluster.databases.map(({ server, wire }) =>
        WireProxy.listen({ targetPort: server.port, wire }),
      ),
    )
    const setting: DoomedSetting = {
      task,
      databases: cluster.databases.map(({ name, system, url }, at) => ({
        ...{ name, system },
        url: proxies[at]!.url(url),
        directUrl: url,
      })),
      writes: scenario.writes,
      reads: scenario.reads,
      decider: scenario.decider,
      resolveWhen: scenario.resolveWhen ?? 'applied',
      timeoutMs: scenario.timeoutMs ?? 30_000,
      item,
      notesPath: join(cluster.folder, `${item}.notes`),
      dieAt: strike !== undefined && isOwnDeath(strike.point) ? strike.point : undefined,
    }
    const doomed = new DoomedProcess(cluster, setting, proxies, strike)
    const warm = once(doomed.#child, 'message')
    const isWarm = Promise.race([warm.then(() => true), doomed.#ended.then(() => false)])
    if (await within(`the process of ${item} to be warm`, isWarm, BOOT_MS)) return doomed
    await doomed[Symbol.asyncDispose]()
    throw new Error(`the process of ${item} ended in its warm-up:\n${doomed.errors}`)
  }

  private constructor(
    cluster: CrashCluster,
    setting: DoomedSetting,
    proxies: readonly WireProxy[],
    strike: Strike | undefined,
  ) {
    this.item = setting.item
    this.#cluster = cluster
    this.#proxies = proxies
    this.#notesPath = setting.notesPath
    this.#child = spawn(nodeProgram(), ['--conditions=assent-source', PROGRAM], {
      env: { PATH: process.env['PATH'], [SETTING]: JSON.stringify(setting) },
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()))
    this.#ended = once(this.#child, 'close')
    this.#watch(setting, strike)
  }

  /** Everything that it printed to stderr. A process that works as it should prints nothing. */
  get errors(): string {
    return this.#errors
  }

  /** Whether a connection, or a server's session, of it is left. */
  async isConnected(): Promise<boolean> {
    if (this.#proxies.some((proxy) => proxy.connectionCount > 0)) return true
    const application = `owner-${this.item}`
    const counts = await Promise.all(
      this.#cluster.databases.map((database, at) =>
        database.countSessions({ application, clientPorts: this.#proxies[at]!.serverSidePorts }),
      ),
    )
    return counts.some((count) => count > 0)
  }

  /** What it had written down. */
  get notes(): readonly Note[] {
    if (!existsSync(this.#notesPath)) return []
    const lines = readFileSync(this.#notesPath, 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Note)
  }

  /** Does its task; resolves when the process has ended, with its exit code or signal. */
  async run(): Promise<string> {
    this.#child.send('go')
    const ended = within(`the process of ${this.item} to end`, this.#ended, RUN_MS)
    const [code, signal] = (await ended) as [number | null, string | null]
    return signal ?? `exit code ${String(code)}`
  }

  /** Kills it. Of what stands at the proxy, nothing goes on. */
  kill(): Verdict {
    this.#child.kill('SIGKILL')
    return 'hold'
  }

  /** Stops it (SIGSTOP) while something is done by others, then lets everything go on. */
  async pauseDuring(work: () => Promise<void>): Promise<Verdict> {
    this.#child.kill('SIGSTOP')
    try {
      await work()
    } finally {
      this.#child.kill('SIGCONT')
    }
    return 'pass'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
    await Promise.all(this.#proxies.map((proxy) => proxy.close()))
  }

  #watch({ databases, task }: DoomedSetting, strike: Strike | undefined): void {
    let isWarm = false
    this.#child.once('message', () => {
      isWarm = true
    })
    const judge = (name: string, stage: Stage): MaybeLater<Verdict> => {
      const isHere = strike?.point.message === name && strike.point.stage === stage
      return isHere ? (strike.act ?? killIt)(this) : 'pass'
    }
    for (const [at, proxy] of this.#proxies.entries()) {
      const { name: participant, system } = databases[at]!
      const nameOf = namer(participant, system, task)
      proxy.hooks.name = (message, connection) => (isWarm ? nameOf(message, connection) : undefined)
      proxy.hooks.onRequest = ({ name, message }) => {
        this.events.push(sent(name, message))
        return judge(name, 'sent, not processed')
      }
      proxy.hooks.onAnswer = ({ name }, answer) => {
        this.events.push(answered(name, answer))
        return judge(name, 'processed, not answered')
      }
    }
  }
}

function killIt(struck: DoomedProcess): Verdict {
  return struck.kill()
}

/** Kills it, once something else has passed the proxies: the answer to another message. */
export function killOnceAnsweredTo(message: string): (struck: DoomedProcess) => Promise<Verdict> {
  return async (struck) => {
    const isAnswered = () =>
      struck.events.some(({ name, point }) => name === message && point === 'answered')
    await eventually(`the answer to ${message}`, isAnswered)
    return struck.kill()
  }
}

/** Kills it, once it has written down the answer that its caller got. */
export async function killOnceAnswered(struck: DoomedProcess): Promise<Verdict> {
  const isAnswered = () => struck.notes.some(({ note }) => note === 'answered')
  await eventually(`the process of ${struck.item} to be answered`, isAnswered)
  return struck.kill()
}
