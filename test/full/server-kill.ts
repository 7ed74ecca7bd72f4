/**
 * Owns: one transaction of a living process during which one of its servers is killed with SIGKILL
 * at a message, and started again; and the judgement.
 */
import pg from 'pg'
import { AssentError, createAssent } from 'assent'
import type { Assent, ParticipantDefinition } from 'assent'
import { pg as participant } from 'assent/pg'
import type { PgHandle } from 'assent/pg'
import { eventually, within } from '../../harness/eventually.ts'
import { type Verdict, WireProxy } from '../../harness/wire-proxy.ts'
import type { CrashCluster } from '../crash/crash-cluster.ts'
import type { Fate } from '../crash/crash-points.ts'
import { MessageNames, participantOf } from '../crash/message-names.ts'
import { disagreements, fullId, readDatabase } from '../crash/oracle.ts'
import { APP } from '../crash/doomed-setting.ts'
import type { Note } from '../crash/doomed-setting.ts'

/** What of the message was done when the server died. */
export type ServerStage = 'sent, not processed' | 'processed, not answered' | 'answered'

export interface ServerKill {
  readonly victim: 'orders' | 'stock'
  readonly message: string
  readonly stage: ServerStage
}

export interface KilledServer {
  readonly disagreements: readonly string[]
  readonly answer: string
  /** From the victim's return until nothing was left, and until the caller was answered. */
  readonly settledMs: number
  readonly answeredMs: number
}

type PgDefinition = ParticipantDefinition<PgHandle<pg.Pool>>
type Two = { orders: PgDefinition; stock: PgDefinition }

const ANSWER_MS = 25_000
const SETTLE_MS = 15_000

export class LivingOwner {
  readonly #cluster: CrashCluster
  readonly #assent: Assent<Two>
  readonly #pools: readonly pg.Pool[]
  readonly #proxies: ReadonlyMap<string, WireProxy>
  readonly #alarms: string[] = []

  static async start(cluster: CrashCluster): Promise<LivingOwner> {
    const proxies = await Promise.all(
      cluster.databases.map(
        async ({ name, server }) =>
          [name, await WireProxy.listen({ targetPort: server.port })] as const,
      ),
    )
    return new LivingOwner(cluster, new Map(proxies))
  }

  private constructor(cluster: CrashCluster, proxies: ReadonlyMap<string, WireProxy>) {
    this.#cluster = cluster
    this.#proxies = proxies
    this.#pools = cluster.databases.map(({ name, server }) => {
      const pool = new pg.Pool({ connectionString: proxies.get(name)!.url(server.url()) })
      pool.on('error', () => undefined)
      return pool
    })
    const [orders, stock] = cluster.databases.map(({ server }, at) => {
      const recovery = { connectionString: server.url() }
      return participant(this.#pools[at]!, { recovery })
    })
    this.#assent = createAssent({
      app: APP,
      participants: { orders: orders!, stock: stock! },
      onReport: (report) => {
        const isAlarm = report.type !== 'recovered' && report.type !== 'scan-failed'
        if (isAlarm) this.#alarms.push(JSON.stringify(report))
      },
    })
  }

  async close(): Promise<void> {
    await this.#assent.close()
    await Promise.all(this.#pools.map((pool) => pool.end()))
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()))
  }

  /** Runs the transaction without killing anything; whatever the last kill left is gone then. */
  async warmUp(): Promise<void> {
    await this.#transfer(await this.#cluster.newItem(), () => undefined)
  }

  async surviveKill(kill: ServerKill, fate: Fate): Promise<KilledServer> {
    const item = await this.#cluster.newItem()
    const { server } = this.#cluster.database(kill.victim)
    let txid = 'it never began'
    const killed = this.#arm(kill, () => server.kill())
    const answering = this.#transfer(item, (id) => {
      txid = id
    })
    await within(`${kill.message} to be reached`, killed, ANSWER_MS)
    await server.start()
    const backAt = performance.now()
    const answer = await within('an answer', answering, ANSWER_MS)
    const answeredMs = Math.round(performance.now() - backAt)
    const left = await this.#untilNothingIsPrepared()
    const settledMs = Math.round(performance.now() - backAt)
    const note: Note = { note: 'answered', ...answer }
    const found = await this.#judge(item, txid, note, fate)
    // After a kill, the promise must still find out: a truth that is only not known is not enough.
    const vague = answer.outcome === 'unknown' ? [`unclear answer: ${answer.error}`] : []
    return {
      answer: answer.outcome,
      disagreements: [...left, ...found, ...vague],
      ...{ answeredMs, settledMs },
    }
  }

  async #judge(item: string, txid: string, note: Note, fate: Fate): Promise<readonly string[]> {
    const databases = await Promise.all(
      this.#cluster.databases.map((each) => readDatabase(each, 'writer', item, txid)),
    )
    const id = await fullId(this.#cluster, 'orders', txid)
    const prepared = await this.#cluster.prepared()
    const [outcome, bareOutcome] = [await this.#outcome(id), await this.#outcome(txid)]
    const alarms = this.#alarms.splice(0)
    return disagreements({ databases, prepared, notes: [note], outcome, bareOutcome, alarms }, fate)
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
    const names = new MessageNames()
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
      proxy.hooks.name = (wire) => names.name(name, wire)
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
    const take = 'UPDATE item SET amount = amount - 1 WHERE id = $1'
    try {
      await this.#assent.transaction(async ({ orders, stock }, tx) => {
        began(tx.id)
        await orders.query(take, [item])
        await stock.query(take, [item])
      })
      return { outcome: 'committed', error: '' }
    } catch (error) {
      const outcome = error instanceof AssentError ? error.outcome : 'aborted'
      return { outcome, error: String(error) }
    }
  }
}
