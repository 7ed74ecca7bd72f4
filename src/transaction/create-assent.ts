/**
 * `createAssent`: what users call, and where everything is put together.
 *
 * Owns: the Assent object; starting and stopping recovery.
 * Promises: synchronous, touches no network; databases are checked on first use, recovery starts in
 * the background, and nothing of it keeps the process alive.
 */
import { AssentError } from '../protocol/index.ts'
import type { Participant, ParticipantDefinition, World } from '../ports/index.ts'
import {
  Forgetting,
  LIMITS,
  Recovery,
  Scan,
  Warmth,
  unlessAborted,
  warnOf,
} from '../engine/index.ts'
import type { InDoubt, RecoverySetting, Report } from '../engine/index.ts'
import { nodeWorld } from '../platform/node-world.ts'
import { openParticipants } from './open-participants.ts'
import type { AssentSetting, Definitions } from './open-participants.ts'
import { checkOptions, checkParticipant, typeOf, wrong } from './options.ts'
import type { CheckedOptions, TransactionOptions } from './options.ts'
import { outcomeOf } from './outcome.ts'
import type { OutcomeAnswer, OutcomeOptions } from './outcome.ts'
import { runTransaction } from './transaction.ts'
import type { TransactionSetting, Work } from './transaction.ts'
import { UnderWay } from './under-way.ts'

type Handles<D extends Definitions> = {
  readonly [Name in keyof D]: D[Name] extends ParticipantDefinition<infer Handle> ? Handle : never
}

/** The handles that the function given to `transaction()` gets. */
export type HandlesOf<A> = A extends Assent<infer D> ? Handles<D> : never

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
  const participants = openParticipants(setting, nodeWorld)
  return new AssentObject<D>(setting, participants, nodeWorld)
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
  readonly #scan: Scan
  readonly #setting: TransactionSetting
  readonly #closing = new AbortController()
  readonly #underWay = new UnderWay()
  #closed: Promise<void> | undefined

  constructor(
    setting: AssentSetting<D>,
    participants: ReadonlyMap<string, Participant>,
    world: World,
  ) {
    const { app, participants: _participants, onReport, retentionMs, ...defaults } = setting
    this.#app = app
    this.#retentionMs = retentionMs ?? LIMITS.retentionMs
    this.#participants = participants
    const names = [...participants.keys()]
    this.#check = (given) => checkOptions(defaults, given, names, this.#retentionMs)
    this.#usual = this.#check({})
    this.#world = world
    const report = reporter(onReport)
    const recoverySetting: RecoverySetting = {
      participants,
      world,
      report,
      signal: this.#closing.signal,
    }
    const recovery = new Recovery(recoverySetting)
    this.#scan = new Scan(app, recoverySetting, recovery)
    this.#setting = {
      app,
      participants,
      world,
      recovery,
      report,
      warmth: new Warmth(participants.size, world),
      background: () => this.#underWay.begin(),
    }
    const forgetting = new Forgetting(app, recoverySetting, this.#retentionMs)
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
    return this.#whileOpen(() => outcomeOf(id, options, this.#app, this.#participants, this.#world))
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

function reporter(listener: ((report: Report) => void) | undefined): (report: Report) => void {
  return (report) => {
    if (listener === undefined) {
      const text = warnOf(report)
      if (text !== undefined) process.emitWarning(text, { code: 'ASSENT_REPORT' })
      return
    }
    try {
      listener(report)
    } catch (error) {
      process.emitWarning(`Assent: onReport failed: ${String(error)}`, { code: 'ASSENT_REPORT' })
    }
  }
}
