/**
 * BEGIN under one Sync with the user's first statement, and with the claim if this branch is to decide.
 *
 * Owns: the query that carries them.
 * Promises: if BEGIN, or a setting behind it, fails, the server skips the user's statement: it never
 * runs outside of the transaction. Rows, fields, types and errors of that statement are
 * node-postgres' own. Whether the transaction has begun is only said once the server is ready again.
 * Never: carries a statement that would behave differently there: several in one text (only the
 * simple protocol takes those), pages of rows, cursors.
 *
 * (`pipeline: true` of node-postgres is no substitute: each query has a Sync of its own there, and
 * behind a failed BEGIN the next one runs.)
 */
import { areBegun, notBegun } from './begin.ts'
import type { Begun } from './begin.ts'
import { isServerError } from './driver.ts'
import type { Notice, PgClient, PgConnection, PgQuery, PgQueryClass } from './driver.ts'
import { effectsOf } from './statements.ts'
import { Wire, tagCount } from './wire.ts'
import type { Parsing, Statement, WireListener } from './wire.ts'

/** Told of the first statement, as node-postgres tells it, and of what became of BEGIN. */
export interface BegunWith {
  /** Once. An error of the statement may be told before it is known what became of BEGIN. */
  readonly onResult: (error: Error | null, result: unknown) => void
  /** Once; while the answer is still being read, so nothing may be sent on the connection yet. */
  readonly onBegun: (begun: Begun) => void
}

/** Whether a query of the user's can travel behind BEGIN (see above). */
export function canTravel(args: readonly unknown[]): boolean {
  const [config, values] = args
  if (typeof values === 'function' || args.length > 2) return false
  if (typeof config === 'string') return isOne(config)
  const { text, rows, callback, submit } = config as Partial<Record<string, unknown>>
  const isPlain = rows === undefined && callback === undefined && submit === undefined
  return isPlain && typeof text === 'string' && isOne(text)
}

/** COPY makes the server ignore the Sync behind it. */
function isOne(text: string): boolean {
  const [first, second] = effectsOf(text)
  return first !== undefined && second === undefined && first.verb !== 'copy'
}

function timeoutOf(config: unknown): number | undefined {
  if (typeof config !== 'object' || config === null) return undefined
  const { query_timeout: timeoutMs } = config as { query_timeout?: unknown }
  return typeof timeoutMs === 'number' ? timeoutMs : undefined
}

/**
 * Whether a claim may precede this statement: one that takes a snapshot by itself. (LOCK TABLE and SET
 * TRANSACTION must come before any snapshot.)
 */
export function canFollowClaim(args: readonly unknown[]): boolean {
  const [config] = args
  const text = typeof config === 'string' ? config : (config as { text: string }).text
  return effectsOf(text)[0]?.verb === 'sees data'
}

/** What precedes the user's first statement. */
export interface Ahead {
  /** Always the same list while nothing changes: its bytes are kept. */
  readonly statements: readonly Statement[]
  readonly claim: Statement | undefined
}

/** Sends what is ahead and the user's own (`config` and `values` of `client.query`) as one message. */
export function beginWith(
  client: PgClient,
  Query: PgQueryClass,
  ahead: Ahead,
  [config, values]: readonly unknown[],
  { onResult, onBegun }: BegunWith,
): void {
  const done: PgQuery['callback'] = (error, answer) => {
    // As the driver does: a stack that leads to the program instead of the socket. (A type parser
    // may have thrown something that can't have one.)
    if (error instanceof Error && Object.isExtensible(error)) Error.captureStackTrace(error)
    onResult(error, answer)
  }
  const query = makeQuery(travellingClass(Query), config, values, done)
  const journey = new Journey(client, ahead, onBegun)
  query.journey = journey
  // Where the driver reads it.
  query.query_timeout = timeoutOf(config)
  client.query(query)
}

/**
 * The driver copies each property of a config by its descriptor, which takes 3 % of a process's time
 * for a transaction (measured with pg 8.23). With nothing in it but text, values and a name there is
 * nothing to copy.
 */
function makeQuery(
  Travelling: TravellingClass,
  config: unknown,
  values: unknown,
  callback: PgQuery['callback'],
): TravellingQuery {
  const isPlain = typeof config === 'object' && config !== null && isBare(config)
  // Of a second argument only the driver knows what it takes it for.
  if (!isPlain || values !== undefined) return new Travelling(config, values, callback)
  const query = new Travelling(config.text, config.values, callback)
  query.name = config.name
  return query
}

interface BareConfig {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly name?: string
}

function isBare(config: object): config is BareConfig {
  if (Object.getPrototypeOf(config) !== Object.prototype) return false
  const { text, values } = config as Partial<Record<string, unknown>>
  if (typeof text !== 'string' || (values !== undefined && !Array.isArray(values))) return false
  return Object.keys(config).every((key) => key === 'text' || key === 'values' || key === 'name')
}

function nothing(): void {}

/** What is known of BEGIN while it travels with a query of the user's. */
class Journey implements WireListener {
  readonly #ahead: Ahead
  /** How many statements precede the user's. */
  readonly #count: number
  readonly #onBegun: (begun: Begun) => void
  readonly #client: PgClient
  #isSettled = false
  #isSubmitted = false
  readonly #tags: string[] = []
  #wire: Wire | undefined
  #parsing: Parsing | undefined
  #warning: string | undefined
  #failure: unknown
  #ctid: string | undefined
  #onOwnAnswered = nothing

  constructor(client: PgClient, ahead: Ahead, onBegun: (begun: Begun) => void) {
    this.#client = client
    this.#ahead = ahead
    this.#onBegun = onBegun
    this.#count = tagCount(ahead.statements) + (ahead.claim === undefined ? 0 : 1)
  }

  /**
   * Writes our statements, with the user's and the Sync right behind them, which `query` has written.
   *
   * @param onOwnAnswered called when each of ours was answered: what follows is the user's
   */
  write(connection: PgConnection, query: () => void, onOwnAnswered: () => void): void {
    this.#isSubmitted = true
    this.#onOwnAnswered = onOwnAnswered
    const wire = Wire.of(connection)
    this.#wire = wire
    wire.listen(this)
    this.#parsing = wire.writeWith(this.#ahead.statements, this.#ahead.claim, query)
  }

  /** Whether each of our statements was answered: then what follows is the user's. */
  isBegun(): boolean {
    return this.#tags.length === this.#count
  }

  onOwnTag(tag: string): void {
    this.#tags.push(tag)
    if (this.isBegun()) this.#onOwnAnswered()
  }

  onRecognised(tags: readonly string[]): void {
    for (const tag of tags) this.onOwnTag(tag)
  }

  /** Only the claim has one. */
  onOwnRow(fields: readonly unknown[]): void {
    this.#ctid = String(fields[0])
  }

  /** Of these, no answer will come to say so. */
  onDriverError(cause: unknown, writing: 'now' | 'done'): void {
    this.#failure = cause
    // What the driver has written by then, and whether it ends with a Sync, depends on its version.
    const isDead = this.#client.connection.stream.destroyed
    // It waited for its turn, behind somebody's query, or never had one.
    const isUnsent = !this.#isSubmitted && (isDead || this.#client._queryable === false)
    if (isUnsent) this.#settle({ kind: 'lost', cause })
    else if (writing === 'now') this.#settle({ kind: 'unwritten' })
    else if (!isServerError(cause)) this.#settle({ kind: isDead ? 'lost' : 'unanswered', cause })
  }

  onNotice(notice: Notice): void {
    if (notice.code !== '00000' && this.#tags.length === 0) this.#warning = notice.message ?? ''
  }

  onReady(): void {
    if (this.#warning === undefined && this.#isRight()) this.#settle(this.#asBegun())
    else {
      const cause = this.#failure ?? notBegun(this.#tags, this.#warning)
      this.#settle({ kind: 'failed', cause })
    }
  }

  onEnd(): void {
    if (this.isBegun()) this.#settle(this.#asBegun())
    else {
      const cause = this.#failure ?? new Error('the connection was closed')
      this.#settle({ kind: 'lost', cause })
    }
  }

  #isRight(): boolean {
    return this.isBegun() && areBegun(this.#tags, this.#count, this.#ahead.claim)
  }

  /** A claim whose epoch was not found has no row. */
  #asBegun(): Begun {
    return { kind: 'begun', ctid: this.#ctid }
  }

  #settle(begun: Begun): void {
    this.#wire?.unlisten(this)
    this.#parsing?.completed(this.#tags.length)
    if (this.#isSettled) return
    this.#isSettled = true
    this.#onBegun(begun)
  }
}

interface TravellingQuery extends PgQuery {
  journey: Journey | undefined
}
type TravellingClass = new (
  config: unknown,
  values: unknown,
  callback: PgQuery['callback'],
) => TravellingQuery

const classes = new WeakMap<PgQueryClass, TravellingClass>()

function travellingClass(Query: PgQueryClass): TravellingClass {
  const known = classes.get(Query) ?? makeTravellingClass(Query)
  classes.set(Query, known)
  return known
}

/** A subclass of the pool's own Query: whatever that one does with its answers stays as it is. */
function makeTravellingClass(Query: PgQueryClass): TravellingClass {
  return class extends Query implements TravellingQuery {
    journey: Journey | undefined
    /** The statement's name, kept from the driver until BEGIN was answered. */
    #hiddenName: string | undefined
    #writing: 'now' | 'done' = 'now'

    /** By the extended protocol, whose messages can share a Sync. */
    override requiresPreparation(): boolean {
      return true
    }

    override prepare(connection: PgConnection): void {
      // What the driver would have sent as a plain text has its rows as text, whatever the pool says.
      if (!super.requiresPreparation()) this.binary = false
      const query = (): void => {
        super.prepare(connection)
      }
      const onOwnAnswered = (): void => {
        this.name = this.#hiddenName
      }
      if (this.journey === undefined) query()
      else this.journey.write(connection, query, onOwnAnswered)
      this.#writing = 'done'
      // The driver books every ParseComplete under the active query's name. Those of our statements
      // come first, and would book the user's as parsed before the server has seen it.
      this.#hiddenName = this.name
      this.name = undefined
    }

    override handleDataRow(message: { fields: (string | null)[] }): void {
      if (this.journey?.isBegun() === false) this.journey.onOwnRow(message.fields)
      else super.handleDataRow(message)
    }

    override handleCommandComplete(message: { text: string }, connection: PgConnection): void {
      if (this.journey?.isBegun() !== false) {
        super.handleCommandComplete(message, connection)
        return
      }
      this.journey.onOwnTag(message.text)
    }

    override handleError(error: Error, connection: PgConnection): void {
      if (this.journey?.isBegun() === false) {
        // Never parsed: the next query with its name has to do it.
        if (this.#hiddenName !== undefined && connection.submittedNamedStatements !== undefined) {
          Reflect.deleteProperty(connection.submittedNamedStatements, this.#hiddenName)
        }
        this.journey.onDriverError(error, this.#writing)
      }
      super.handleError(error, connection)
    }
  }
}
