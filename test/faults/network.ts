/**
 * Owns: transactions whose every connection, recovery's too, passes a bad network.
 * Promises: between a process and each database stand two proxies: one that loses, delays and
 * cuts bytes, and behind it, next to the server, one that tells when a message has arrived.
 */
import { expect, onTestFinished } from 'vitest'
import pg from 'pg'
import { AssentError, createAssent } from 'assent'
import type { Assent, ParticipantDefinition, Report } from 'assent'
import { pg as participant } from 'assent/pg'
import type { PgHandle } from 'assent/pg'
import { FaultProxy } from '../../harness/fault-proxy.ts'
import { type MaybeLater, type Verdict, WireProxy } from '../../harness/wire-proxy.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { kindOfMessage } from '../support/message-kinds.ts'
import type { MessageKind } from '../support/message-kinds.ts'

type Name = 'orders' | 'stock' | 'ledger'
type Definitions = Record<string, ParticipantDefinition<PgHandle<pg.Pool>>>
export type NetworkMessage = `${Name} ${MessageKind}`

export interface Site {
  readonly database: TestDatabase
  /** What lies between the process and this database. */
  readonly link: FaultProxy
}

export interface NetworkSetting {
  readonly names?: readonly Name[]
  /** Whether recovery of the same process passes the network as well. Default: it does. */
  readonly recovery?: 'through' | 'direct'
  /** Where a database is made. Default: on the servers that all tests share. */
  readonly databaseOf?: (name: Name) => Promise<TestDatabase>
}

export class Network {
  readonly reports: Report[] = []
  /** What happens when a message has arrived at its server, or its answer leaves there. */
  readonly onArrival = new Map<NetworkMessage, () => MaybeLater<Verdict>>()
  readonly onAnswer = new Map<NetworkMessage, () => MaybeLater<Verdict>>()
  readonly #sites = new Map<string, Site>()
  #assent: Assent<Definitions> | undefined

  /** The first name decides. */
  static async open(setting: NetworkSetting = {}): Promise<Network> {
    const { names = ['orders', 'stock'], recovery = 'through' } = setting
    const databaseOf =
      setting.databaseOf ?? ((name) => freshDatabase(name === 'stock' ? 'second' : 'first'))
    const network = new Network()
    const participants: Definitions = {}
    for (const name of names) {
      const database = await databaseOf(name)
      const { pool, link } = await network.#connect(name, database)
      network.#sites.set(name, { database, link })
      participants[name] = participant(
        pool,
        recovery === 'direct' ? { recovery: { connectionString: database.url } } : {},
      )
    }
    const assent = createAssent({
      app: 'shop',
      participants,
      onReport: (each) => network.reports.push(each),
    })
    network.#assent = assent
    onTestFinished(() => {
      for (const { link } of network.#sites.values()) link.dropAll()
      return assent.close()
    })
    return network
  }

  get assent(): Assent<Definitions> {
    if (this.#assent === undefined) throw new Error('not open')
    return this.#assent
  }

  site(name: Name): Site {
    const site = this.#sites.get(name)
    if (site === undefined) throw new Error(`no site ${name}`)
    return site
  }

  /** Another process of the application, in another place: it has its own ways to the databases. */
  outsider(names: readonly Name[] = [...this.#sites.keys()] as Name[]): Assent<Definitions> {
    const participants: Definitions = {}
    for (const name of names) {
      const pool = new pg.Pool({ connectionString: this.site(name).database.url })
      pool.on('error', () => undefined)
      onTestFinished(() => pool.end())
      participants[name] = participant(pool)
    }
    const onReport = (each: Report): void => void this.reports.push(each)
    const assent = createAssent({ app: 'shop', participants, onReport })
    onTestFinished(() => assent.close())
    return assent
  }

  /** Writes `x` in every database; of those named, the second comes first: the next one decides. */
  async write(timeoutMs = 2_000, x = 1): Promise<void> {
    await this.assent.transaction(
      async (handles) => {
        const [decider, voter, ...others] = this.#sites.keys()
        for (const name of [voter, decider, ...others].filter((each) => each !== undefined)) {
          await handles[name]?.query('insert into t values ($1)', [x])
        }
      },
      { timeoutMs },
    )
  }

  /** What `write` told: the outcome of an AssentError, or the fate of a statement that failed. */
  async told(timeoutMs?: number, x?: number): Promise<'committed' | 'aborted' | 'unknown'> {
    try {
      await this.write(timeoutMs, x)
      return 'committed'
    } catch (error) {
      return error instanceof AssentError ? error.outcome : 'aborted'
    }
  }

  /** How many rows each database shows. */
  async rows(): Promise<readonly number[]> {
    return Promise.all([...this.#sites.values()].map(({ database }) => database.count()))
  }

  /** Waits until nothing is prepared anywhere, then judges the rows. */
  async settles(rows: readonly number[]): Promise<void> {
    for (const { database } of this.#sites.values()) {
      await expect.poll(() => database.prepared(), { timeout: 20_000 }).toEqual([])
    }
    await expect.poll(() => this.rows()).toEqual(rows)
  }

  async #connect(name: Name, { url }: TestDatabase): Promise<{ pool: pg.Pool; link: FaultProxy }> {
    const wire = await WireProxy.listen({
      targetPort: Number(new URL(url).port),
      name: (message) => {
        const kind = kindOfMessage(message)
        return kind === undefined ? undefined : `${name} ${kind}`
      },
      onRequest: (named) => this.onArrival.get(named.name as NetworkMessage)?.() ?? 'pass',
      onAnswer: (named) => this.onAnswer.get(named.name as NetworkMessage)?.() ?? 'pass',
    })
    const link = await FaultProxy.listen({ targetPort: wire.port })
    const pool = new pg.Pool({ connectionString: link.url(url) })
    pool.on('error', () => undefined)
    onTestFinished(async () => {
      await link.close()
      await wire.close()
      await pool.end()
    })
    return { pool, link }
  }
}

/** Does it once, at the first such message, and lets it pass. */
export function once(act: () => void): () => Verdict {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
    return 'pass'
  }
}
