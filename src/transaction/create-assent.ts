/**
 * `createAssent`: what users call, and where everything is put together.
 *
 * Owns: the Assent object; opening the participants; starting and stopping recovery.
 * Promises: synchronous, touches no network; databases are checked on first use, recovery starts in
 * the background, and nothing of it keeps the process alive.
 */
import { AssentError, readGid } from '../protocol/index.ts'
import type { Participant, ParticipantDefinition, Tracing, World } from '../ports/index.ts'
import {
  Elsewhere,
  Forgetting,
  LIMITS,
  Meters,
  Recovery,
  Scan,
  Warmth,
  unlessAborted,
} from '../engine/index.ts'
import type { InDoubt, RecoverySetting, Report } from '../engine/index.ts'
import { nodeTracing } from '../platform/channels.ts'
import { nodeWorld } from '../platform/node-world.ts'
import { CLOSED, healthOf } from '../seeing/health.ts'
import type { Health } from '../seeing/health.ts'
import type { Known } from '../seeing/known.ts'
import { metricsText } from '../seeing/metrics.ts'
import { openParticipants } from './open-participants.ts'
import { checkOptions, checkParticipant, typeOf, wrong } from './options.ts'
import type { CheckedOptions, TransactionDefaults, TransactionOptions } from './options.ts'
import { outcomeOf } from './outcome.ts'
import type { OutcomeAnswer, OutcomeOptions } from './outcome.ts'
import { reporter } from './reporter.ts'
import { runTransaction } from './transaction.ts'
import type { TransactionSetting, Work } from './transaction.ts'
import { UnderWay } from './under-way.ts'

export type Definitions = Readonly<Record<string, ParticipantDefinition<unknown>>>

type Handles<D extends Definitions> = {
  readonly [Name in keyof D]: D[Name] extends ParticipantDefinition<infer Handle> ? Handle : never
}

/** The handles that the function given to `transaction()` gets. */
export type HandlesOf<A> = A extends Assent<infer D> ? Handles<D> : never

/** What `createAssent` is given: names, databases, and defaults for every transaction. */
export interface AssentSetting<D extends Definitions> extends TransactionDefaults<
  keyof D & string
> {
  /** Processes of one app recover each other's transactions. Letters, digits, `_`, `-`. */
  readonly app: string
  /** The databases, by the names that transactions use. */
  readonly participants: D
  /**
   * How long a transaction that is over can still be asked for, and a branch that comes back can
   * still end by itself, in milliseconds. Default: 86,400,000 (a day); at least 10,000. Of several
   * processes, the shortest counts.
   */
  readonly retentionMs?: number
  /**
   * Told of what happens in the background. Without it, what a person must look at becomes a
   * process warning.
   */
  readonly onReport?: (report: Report) => void
}

/** What `createAssent` returns: one for each process, closed last. */
export interface Assent<D extends Definitions = Definitions> {
  /**
   * Runs `work` as one transaction over every participant that it uses.
   *
   * Resolves with what `work` returned when the commit is durable everywhere it has to be; rejects
   * with the error that `work` threw when everything was rolled back; otherwise with an AssentError
   * whose `outcome` says what happened.
   */
  transaction<T>(
    work: Work<Handles<D>, T>,
    options?: TransactionOptions<keyof D & string>,
  ): Promise<T>
  /** What became of a transaction: `error.transactionId`, or `tx.id`. @throws AssentError `ASSENT_ID` */
  outcome(id: string, options?: OutcomeOptions): Promise<OutcomeAnswer>
  /** What is prepared and not ended, by participant, as this process last saw it. */
  inDoubt(options?: { readonly signal?: AbortSignal }): Promise<readonly InDoubt[]>
  /**
   * Recovers everything that can be, now. Returns what stays in doubt.
   *
   * @throws AssentError or the driver's error when a participant can't be listed
   */
  recover(options?: { readonly signal?: AbortSignal }): Promise<readonly InDoubt[]>
  /**
   * Whether every participant can be reached, and what somebody should look at: for readiness checks.
   * Asks no database: it is what the scans of this process have seen, about once a second. Never
   * rejects, and is `failing` once this object was closed.
   */
  health(): Promise<Health>
  /**
   * What is counted and measured, as OpenMetrics text: to be served as
   * `application/openmetrics-text; version=1.0.0; charset=utf-8`. Asks no database.
   */
  metrics(): string
  /** Creates Assent's tables everywhere; with `print`, only returns the SQL by participant. */
  migrate(options?: { readonly print?: boolean }): Promise<Readonly<Record<string, string>>>
  /**
   * To be called when a participant's database was restored from a backup or set back to a snapshot,
   * **before any other process can reach it**: branches whose decision it may have lost are then
   * held for a person instead of being rolled back. With `print`, only returns the SQL, for the
   * restore job to run.
   *
   * @throws AssentError `ASSENT_UNKNOWN_PARTICIPANT`, or what says why it can't be reached
   */
  restored(participant: keyof D & string, options?: { readonly print?: boolean }): Promise<string>
  /** Stops recovery and ends its connections, once what is under way is finished. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Makes the Assent object of a process.
 *
 * @throws AssentError `ASSENT_OPTION`, `ASSENT_NAME`, `ASSENT_SAME_DATABASE`,
 *   `ASSENT_UNKNOWN_PARTICIPANT`
 * @example
 * ```ts
 * import pg from 'pg'
 * import { createAssent } from 'assent'
 * import { pg as pgParticipant } from 'assent/pg'
 *
 * const orders = new pg.Pool({ connectionString: process.env['ORDERS_URL'] })
 * const stock = new pg.Pool({ connectionString: process.env['STOCK_URL'] })
 * const assent = createAssent({
 *   app: 'shop',
 *   participants: { orders: pgParticipant(orders), stock: pgParticipant(stock) },
 * })
 * await assent.transaction(async ({ orders, stock }) => {
 *   await orders.query('insert into orders (sku) values ($1)', ['A-1'])
 *   await stock.query('update stock set free = free - 1 where sku = $1', ['A-1'])
 * })
 * ```
 */
export function createAssent<const D extends Definitions>(setting: AssentSetting<D>): Assent<D> {
  const participants = openParticipants(setting, nodeWorld, (name, waitedMs) => {
    meters.waitedForPool(name, waitedMs)
  })
  const meters = new Meters(participants.keys())
  return new AssentObject<D>(setting, { participants, meters }, nodeWorld, nodeTracing)
}

interface Opened {
  readonly participants: ReadonlyMap<string, Participant>
  readonly meters: Meters
}

/** What begins once an epoch is not trusted any more names another, that has lost nothing. */
function openElsewhere(participants: ReadonlyMap<string, Participant>, world: World): Elsewhere {
  return new Elsewhere(participants, world, (register) => {
    participants
      .get(register)
      ?.memory.renew(0)
      .catch(() => undefined)
  })
}

class AssentObject<D extends Definitions> implements Assent<D> {
  readonly #app: string
  readonly #retentionMs: number
  /** Checks what one transaction is given beside the defaults. */
  readonly #check: (given: TransactionOptions) => CheckedOptions
  /** What most transactions are given: nothing. */
  readonly #usual: CheckedOptions
  readonly #participants: ReadonlyMap<string, Participant>
  readonly #world: World
  readonly #elsewhere: Elsewhere
  readonly #scan: Scan
  readonly #setting: TransactionSetting
  readonly #known: Known
  readonly #closing = new AbortController()
  readonly #underWay = new UnderWay()
  #closed: Promise<void> | undefined

  constructor(
    setting: AssentSetting<D>,
    { participants, meters }: Opened,
    world: World,
    tracing: Tracing,
  ) {
    const { app, participants: _participants, onReport, retentionMs, ...defaults } = setting
    this.#app = app
    this.#retentionMs = retentionMs ?? LIMITS.retentionMs
    this.#participants = participants
    const names = [...participants.keys()]
    this.#check = (given) => checkOptions(defaults, given, names, this.#retentionMs)
    this.#usual = this.#check({})
    this.#world = world
    const elsewhere = openElsewhere(participants, world)
    const tell = reporter(app, tracing, onReport)
    const report = (told: Report): void => {
      meters.hear(told)
      tell(told)
      if (told.type !== 'lost-decision') return
      const reading = readGid(told.gid, app)
      if (reading.kind === 'ours') elsewhere.distrust(reading.gid)
    }
    const recoverySetting: RecoverySetting = {
      elsewhere,
      participants,
      world,
      report,
      signal: this.#closing.signal,
      tracing,
    }
    this.#elsewhere = elsewhere
    const recovery = new Recovery(recoverySetting)
    this.#scan = new Scan(app, recoverySetting, recovery)
    this.#setting = {
      app,
      participants,
      world,
      recovery,
      report,
      tracing,
      meters,
      warmth: new Warmth(participants.size, world),
      background: () => this.#underWay.begin(),
    }
    const forgetting = new Forgetting(app, recoverySetting, this.#retentionMs)
    this.#known = {
      meters,
      sighting: (name) => this.#scan.sighting(name),
      pausing: (name) => forgetting.pausing(name),
    }
    for (const participant of participants.values()) {
      void this.#scan.loop(participant).finally(this.#underWay.begin())
      void forgetting.loop(participant).finally(this.#underWay.begin())
    }
  }

  transaction<T>(
    work: Work<Handles<D>, T>,
    options?: TransactionOptions<keyof D & string>,
  ): Promise<T> {
    try {
      this.#refuseWhenClosed()
      if (typeof work !== 'function') {
        throw wrong(`transaction() ${typeOf(work)}`, 'a function as first argument')
      }
      const checked = options === undefined ? this.#usual : this.#check(options)
      return this.#whileOpen(() => runTransaction(this.#setting, checked, work))
    } catch (error) {
      return rejected(error)
    }
  }

  async outcome(id: string, options: OutcomeOptions = {}): Promise<OutcomeAnswer> {
    this.#refuseWhenClosed()
    return this.#whileOpen(() =>
      outcomeOf(id, options, this.#app, this.#participants, this.#elsewhere, this.#world),
    )
  }

  async inDoubt(options: { readonly signal?: AbortSignal } = {}): Promise<readonly InDoubt[]> {
    this.#refuseWhenClosed()
    const all = [...this.#participants.values()]
    const listing = this.#whileOpen(() =>
      Promise.all(all.map((participant) => this.#scan.list(participant))),
    )
    return (await unlessAborted(options.signal, listing)).flat()
  }

  async recover(options: { readonly signal?: AbortSignal } = {}): Promise<readonly InDoubt[]> {
    this.#refuseWhenClosed()
    const all = [...this.#participants.values()]
    const passing = this.#whileOpen(() =>
      Promise.all(all.map((participant) => this.#scan.pass(participant))),
    )
    return (await unlessAborted(options.signal, passing)).flat()
  }

  async migrate(
    options: { readonly print?: boolean } = {},
  ): Promise<Readonly<Record<string, string>>> {
    this.#refuseWhenClosed()
    const print = options.print ?? false
    const done = await Promise.all(
      [...this.#participants].map(
        async ([name, participant]) => [name, await participant.migrate({ print })] as const,
      ),
    )
    return Object.fromEntries(done)
  }

  async restored(name: string, options: { readonly print?: boolean } = {}): Promise<string> {
    this.#refuseWhenClosed()
    checkParticipant('restored()', name, [...this.#participants.keys()])
    const participant = this.#participants.get(name)
    return participant?.restored({ print: options.print ?? false }) ?? ''
  }

  health(): Promise<Health> {
    const health =
      this.#closed === undefined ? healthOf(this.#known, this.#participants.keys()) : CLOSED
    return Promise.resolve(health)
  }

  metrics(): string {
    return metricsText(this.#known, this.#participants.keys())
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    const waited = new AbortController()
    await Promise.race([
      this.#underWay.whenNone(),
      this.#world.sleep(LIMITS.closeMs, waited.signal),
    ])
    waited.abort()
    await Promise.all([...this.#participants.values()].map((participant) => participant.close()))
  }

  /** Runs what `close()` has to wait for. */
  #whileOpen<T>(work: () => Promise<T>): Promise<T> {
    const running = work()
    const ended = this.#underWay.begin()
    running.then(ended, ended)
    return running
  }

  #refuseWhenClosed(): void {
    if (this.#closed === undefined) return
    throw new AssentError({
      code: 'ASSENT_CLOSED',
      outcome: 'aborted',
      message:
        'This Assent object was closed. Create one for the life of the process, close it last.',
    })
  }
}

/** What an async function would do; `transaction` saves the promises of one. */
function rejected(error: unknown): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  reject(error)
  return promise
}
