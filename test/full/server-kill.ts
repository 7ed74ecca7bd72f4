/**
 * Owns: one transaction of a living process during which one of its servers, or the pooler before
 * it, is killed with SIGKILL at a message, and started again; and the judgement.
 */
import { AssentError, createAssent } from 'assent'
import type { Assent } from 'assent'
import { eventually, within } from '../../harness/eventually.ts'
import { type Verdict, WireProxy } from '../../harness/wire-proxy.ts'
import type { CrashCluster } from '../crash/crash-cluster.ts'
import type { Fate } from '../crash/crash-points.ts'
import { namer, participantOf } from '../crash/message-names.ts'
import { disagreements, fullId, readDatabase } from '../crash/oracle.ts'
import { APP } from '../crash/doomed-setting.ts'
import type { Note } from '../crash/doomed-setting.ts'
import { definitionsOf, reach } from '../crash/reached.ts'
import type { Definition, Reached } from '../crash/reached.ts'
import { isAlarm } from '../crash/recoverer.ts'
import type { Cast, ServerKill, ServerStage } from './server-kill-points.ts'

/** When the killed server comes back: others waited once two connections to it were refused. */
export type Restart = 'at once' | 'after others waited'

/** What a participant's pool leads to: its server, or a pooler before that. */
export interface Victim {
  readonly port: number
  kill(): Promise<void>
  start(): Promise<void>
}

export type Victims = ReadonlyMap<string, Victim>

export interface KilledServer {
  readonly fate: Fate
  readonly disagreements: readonly string[]
  readonly answer: string
  /** From the victim's return until nothing was left, and until the caller was answered. */
  readonly settledMs: number
  readonly answeredMs: number
}

const ANSWER_MS = 25_000
const SETTLE_MS = 15_000

export class LivingOwner {
  readonly #cluster: CrashCluster
  readonly #cast: Cast
  readonly #victims: Victims
  readonly #assent: Assent<Readonly<Record<string, Definition>>>
  readonly #reached: readonly Reached[]
  /** Between its pools and the servers: these see the messages of the transaction. */
  readonly #proxies: ReadonlyMap<string, WireProxy>
  /** Between its recovery and the servers. */
  readonly #bypasses: ReadonlyMap<string, WireProxy>
  readonly #alarms: string[] = []

  static async start(
    cluster: CrashCluster,
    cast: Cast,
    victims: Victims = serversOf(cluster),
  ): Promise<LivingOwner> {
    const [proxies, bypasses] = await Promise.all([
      proxiesOf(cluster, victims),
      proxiesOf(cluster, serversOf(cluster)),
    ])
    return new LivingOwner({ cluster, cast, victims, proxies, bypasses })
  }

  private constructor(facts: {
    readonly cluster: CrashCluster
    readonly cast: Cast
    readonly victims: Victims
    readonly proxies: ReadonlyMap<string, WireProxy>
    readonly bypasses: ReadonlyMap<string, WireProxy>
  }) {
    const { cluster, proxies, bypasses } = facts
    this.#cluster = cluster
    this.#cast = facts.cast
    this.#victims = facts.victims
    this.#proxies = proxies
    this.#bypasses = bypasses
    this.#reached = cluster.databases.map(({ name, system, url }) => {
      const recoveryUrl = bypasses.get(name)!.url(url)
      const onIdleError = (): void => undefined
      return reach({ name, system, recoveryUrl, url: proxies.get(name)!.url(url), onIdleError })
    })
    this.#assent = createAssent({
      app: APP,
      participants: definitionsOf(this.#reached),
      onReport: (report) => {
        if (isAlarm(report)) this.#alarms.push(JSON.stringify(report))
      },
    })
  }

  async close(): Promise<void> {
    await this.#assent.close()
    await Promise.all(this.#reached.map((each) => each.end()))
    const proxies = [...this.#proxies.values(), ...this.#bypasses.values()]
    await Promise.all(proxies.map((proxy) => proxy.close()))
  }

  /** Runs the transaction without killing anything; whatever the last kill left is gone then. */
  async warmUp(): Promise<void> {
    await this.#transfer(await this.#cluster.newItem(), () => undefined)
  }

  async surviveKill(
    kill: ServerKill,
    expected: Fate | 'either',
    restart: Restart,
  ): Promise<KilledServer> {
    const item = await this.#cluster.newItem()
    const victim = this.#victims.get(kill.victim)!
    let txid = 'it never began'
    const killed = this.#arm(kill, () => victim.kill())
    const answering = this.#transfer(item, (id) => {
      txid = id
    })
    await within(`${kill.message} to be reached`, killed, ANSWER_MS)
    if (restart === 'after others waited') await this.#untilTriedInVain(kill.victim)
    await victim.start()
    const backAt = performance.now()
    const answer = await within('an answer', answering, ANSWER_MS)
    const answeredMs = Math.round(performance.now() - backAt)
    const left = await this.#untilNothingIsPrepared()
    const settledMs = Math.round(performance.now() - backAt)
    const note: Note = { note: 'answered', ...answer }
    const fate = expected === 'either' ? await this.#fateOf(item) : expected
    const found = await this.#judge(item, txid, note, fate)
    // After a kill, the promise must still find out: a truth that is only not known is not enough.
    const vague = answer.outcome === 'unknown' ? [`unclear answer: ${answer.error}`] : []
    return {
      fate,
      answer: answer.outcome,
      disagreements: [...left, ...found, ...vague],
      ...{ answeredMs, settledMs },
    }
  }

  async #judge(item: string, txid: string, note: Note, fate: Fate): Promise<readonly string[]> {
    const databases = await Promise.all(
      this.#cluster.databases.map((each) => {
        const isWriter = this.#cast.writes.includes(each.name)
        return readDatabase(each, isWriter ? 'writer' : 'reader', item, txid)
      }),
    )
    const id = await fullId(this.#cluster, this.#cast.writes[0] ?? '', txid)
    const prepared = await this.#cluster.prepared()
    const [outcome, bareOutcome] = [await this.#outcome(id), await this.#outcome(txid)]
    const alarms = this.#alarms.splice(0)
    return disagreements({ databases, prepared, notes: [note], outcome, bareOutcome, alarms }, fate)
  }

  /** As the decider shows it: what everybody else is held to. */
  async #fateOf(item: string): Promise<Fate> {
    const decider = this.#cluster.database(this.#cast.writes[0] ?? '')
    const { amount } = await decider.stateOf(item)
    return amount === 0 ? 'committed' : 'aborted'
  }

  /** Resolves when connections to a dead server were refused, by its port. */
  async #untilTriedInVain(victim: string): Promise<void> {
    const refusals = (): number =>
      [this.#proxies, this.#bypasses]
        .flatMap((proxies) => proxies.get(victim)!.transcript)
        .filter((entry) => entry.point === 'closed' && entry.reason.includes('ECONNREFUSED')).length
    const before = refusals()
    const isTried = () => refusals() >= before + 2
    await eventually(`somebody to try ${victim}`, isTried, { timeoutMs: SETTLE_MS })
  }

  async #outcome(id: string): Promise<string> {
    const answer = await this.#assent.outcome(id, { waitMs: 5_000 })
    return answer.outcome === 'unknown' ? `unknown: ${answer.reason}` : answer.outcome
  }

  /** By the scans that are on from the start: nobody calls `recover()`. */
  async #untilNothingIsPrepared(): Promise<readonly string[]> {
    try {
      const isDone = async () => (await this.#cluster.prepared()).length === 0
      await eventually('nothing to be prepared', isDone, { timeoutMs: SETTLE_MS })
      return []
    } catch (error) {
      return [`recovery: ${(error as Error).message}`]
    }
  }

  /** Resolves when the victim is dead. */
  #arm({ victim, message, stage }: ServerKill, strike: () => Promise<void>): Promise<void> {
    const dead = Promise.withResolvers<undefined>()
    const isTarget = participantOf(message) === victim
    const strikeAt = async (name: string, here: readonly ServerStage[]): Promise<Verdict> => {
      if (name !== message || !here.includes(stage)) return 'pass'
      await strike()
      dead.resolve(undefined)
      // The answer of a server that died may still arrive, as from a slow network.
      return isTarget && stage !== 'answered' ? 'drop-connection' : 'pass'
    }
    for (const [name, proxy] of this.#proxies) {
      proxy.hooks.name = namer(name, this.#cluster.database(name).system)
      proxy.hooks.onRequest = (named) => strikeAt(named.name, ['sent, not processed'])
      proxy.hooks.onAnswer = (named) =>
        strikeAt(named.name, ['processed, not answered', 'answered'])
    }
    return dead.promise
  }

  async #transfer(
    item: string,
    began: (txid: string) => void,
  ): Promise<{ outcome: string; error: string }> {
    const { writes, reads, decider } = this.#cast
    const order = decider === 'used first' ? writes : deciderSecond(writes)
    const texts = new Map(this.#reached.map((each) => [each.name, each]))
    try {
      await this.#assent.transaction(
        async (handles, tx) => {
          began(tx.id)
          for (const name of order) await handles[name]?.query(texts.get(name)!.take, [item])
          for (const name of reads) await handles[name]?.query(texts.get(name)!.look, [item])
        },
        { reads, ...(writes[0] === undefined ? {} : { decider: writes[0] }) },
      )
      return { outcome: 'committed', error: '' }
    } catch (error) {
      const outcome = error instanceof AssentError ? error.outcome : 'aborted'
      return { outcome, error: String(error) }
    }
  }
}

function serversOf(cluster: CrashCluster): Victims {
  return new Map(cluster.databases.map(({ name, server }) => [name, server]))
}

async function proxiesOf(
  cluster: CrashCluster,
  victims: Victims,
): Promise<ReadonlyMap<string, WireProxy>> {
  const listening = [...victims].map(async ([name, { port: targetPort }]) => {
    const { wire } = cluster.database(name)
    return [name, await WireProxy.listen({ targetPort, wire })] as const
  })
  return new Map(await Promise.all(listening))
}

function deciderSecond([
  decider = '',
  first = '',
  ...others
]: readonly string[]): readonly string[] {
  return [first, decider, ...others]
}
