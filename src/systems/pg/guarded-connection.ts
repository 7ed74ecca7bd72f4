/**
 * The connection of one branch while the user's function runs.
 *
 * Owns: what passes to the connection, and what the server says on it in the meantime.
 * Promises: transaction control is refused before it is sent; if some gets past (a text that the
 * server reads differently than we do), the tags and the status that it answers with show it, and
 * the branch is never committed by Assent after that. A failed statement that was swallowed is
 * known, with its error.
 * Never: changes a statement, a result or an error of the user's.
 */
import { AssentError } from '../../protocol/index.ts'
import type { BranchFault, World } from '../../ports/index.ts'
import { usedTooLate } from '../common/late-use.ts'
import type { PgPoolClient, ServerError, Submittable } from './driver.ts'
import { WATCHED } from './mark.ts'
import { send } from './message.ts'
import { effectsOf } from './statements.ts'
import { SETTING_TAGS, Wire } from './wire.ts'
import type { WireListener } from './wire.ts'

/** Tags that end or begin a transaction. ROLLBACK is also what ROLLBACK TO answers with. */
const CONTROL_TAGS = new Set([
  'BEGIN',
  'START TRANSACTION',
  'COMMIT',
  'PREPARE TRANSACTION',
  'COMMIT PREPARED',
  'ROLLBACK PREPARED',
])
/** The transaction was ended by a function, say: by a ROLLBACK or by a COMMIT, nobody can tell. */
const NO_TAG = 'no tag shows how'
/** After these, a part of the branch's work is out of our hands. */
const ESCAPING_TAGS = new Set(['COMMIT', 'PREPARE TRANSACTION', NO_TAG])

/** Whether the branch is still in the transaction that it was begun with. */
type Course =
  | { readonly kind: 'inside' }
  /** A statement failed; PostgreSQL refuses everything until a ROLLBACK (TO). */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The transaction ended or was replaced, by `tag`. */
  | { readonly kind: 'left'; readonly tag: string; readonly escaped: 'nothing' | 'work' }
  | { readonly kind: 'lost' }

export class GuardedConnection implements WireListener {
  readonly #name: string
  readonly #client: PgPoolClient
  readonly #access: 'read' | 'write'
  readonly #world: World
  #course: Course = { kind: 'inside' }
  #usable: 'open' | 'sealed' = 'open'
  #session: 'untouched' | 'touched' = 'untouched'
  #mode: 'kept' | 'maybe set' = 'kept'
  #marks: 'untouched' | 'maybe touched' = 'untouched'
  #watch: 'unheard' | 'unchanged' | 'changed' = 'unheard'
  /** Whether that was reported since the server was last ready. */
  #isReported = false
  #onLateUse = (): void => undefined
  /** ROLLBACK TO answers with the tag ROLLBACK: so many of them are no harm. */
  #harmlessRollbacks = 0
  /** Messages that were begun, and answers that ended (ReadyForQuery). */
  #submitted = 0
  #answered = 0
  #heardAt = -Infinity
  #lastError: unknown
  readonly #wire: Wire

  /** Tags that our own BEGIN is still to be answered with. */
  #ownTags = 0
  /** Until our BEGIN was answered, what is heard may be an answer to somebody else. */
  #turn: 'before ours' | 'ours' = 'before ours'

  constructor(name: string, client: PgPoolClient, access: 'read' | 'write', world: World) {
    this.#name = name
    this.#client = client
    this.#access = access
    this.#world = world
    this.#wire = Wire.of(client.connection)
    this.#wire.listen(this)
  }

  /** Whether a statement may have changed settings beyond this transaction. */
  get session(): 'untouched' | 'touched' {
    return this.#session
  }

  /** Whether a statement, of this branch or before it, shows that it may have set anything. */
  get settings(): 'kept' | 'maybe set' {
    return this.#wire.sets === 'none' ? 'kept' : 'maybe set'
  }

  /** Whether a statement may have reached Assent's own rows. */
  get marks(): 'untouched' | 'maybe touched' {
    return this.#marks
  }

  /** Whether a statement may have set what is watched, or the transaction's mode. */
  get mode(): 'kept' | 'maybe set' {
    return this.#mode
  }

  /** Whether the end of the transaction could be hidden from its tags, so that it has to be watched. */
  get endings(): 'none' | 'maybe' {
    return this.#wire.endings.found
  }

  /**
   * Whether the transaction is still the one that was begun: what is watched shows it, unless a
   * statement may have set that as well; or nothing is watched, since nobody could end it unseen.
   */
  isUnchanged(): boolean {
    if (this.#mode === 'maybe set') return false
    return this.#watch === 'unheard' ? this.endings === 'none' : this.#watch === 'unchanged'
  }

  /** When the server was last heard to be ready, on `World.now()`. */
  get heardAt(): number {
    return this.#heardAt
  }

  /** `client.query`, in all its forms. The statement was checked before. */
  query(args: readonly unknown[]): unknown {
    this.#note(args[0])
    this.#submitted += 1
    const query = this.#client.query.bind(this.#client) as (...args: readonly unknown[]) => unknown
    return query(...args)
  }

  /** Sends a message that begins the transaction: its first tags are our own; then `first`, if any. */
  begin<T>(ownTags: number, first: unknown, begin: () => T): T {
    if (first !== undefined) this.#note(first)
    this.#submitted += 1
    this.#ownTags = ownTags
    return begin()
  }

  /** Waits until the server is ready behind everything that was sent. Never rejects. */
  async drain(): Promise<void> {
    while (!this.isQuiet()) {
      this.#submitted += 1
      const upTo = this.#submitted
      // An empty message: its ReadyForQuery comes behind every other answer. Not all have one of
      // their own: a statement that the driver took out of its queue (query_timeout) has not.
      const reply = await send(this.#client, [])
      if (reply.kind === 'lost') this.#course = { kind: 'lost' }
      else this.#answered = Math.max(this.#answered, upTo)
    }
  }

  isQuiet(): boolean {
    return this.#submitted <= this.#answered || this.#course.kind === 'lost'
  }

  /**
   * Ends the user's part: later statements are refused, and tags are our own from here on. What is
   * watched is heard on: what was deferred still has to run. Each refusal is told: the work that was
   * forgotten would be missing from what is committed.
   */
  seal(onLateUse = (): void => undefined): void {
    this.#usable = 'sealed'
    this.#onLateUse = onLateUse
  }

  /** Hears nothing more of its connection, which is somebody else's now. */
  stop(): void {
    this.#wire.unlisten(this)
  }

  fault(): BranchFault | undefined {
    switch (this.#course.kind) {
      case 'inside':
        return undefined
      case 'failed':
        return {
          code: 'ASSENT_SWALLOWED_ERROR',
          outcome: 'aborted',
          message:
            `A statement on ${this.#name} failed, its error was caught, and the transaction went ` +
            `on. PostgreSQL has undone all of its work there. Rethrow the error, or run such a ` +
            `statement under a SAVEPOINT and ROLLBACK TO it`,
          cause: this.#course.error,
        }
      case 'left':
        return {
          code: 'ASSENT_TRANSACTION_CONTROL',
          outcome: this.#course.escaped === 'work' ? 'unknown' : 'aborted',
          message:
            `A statement on ${this.#name} ended the transaction by itself (${this.#course.tag}). ` +
            (this.#course.escaped === 'work'
              ? `What was done before it may be durable there; Assent commits nothing`
              : `What was done before it is undone; Assent commits nothing`),
          cause: undefined,
        }
      case 'lost':
        return {
          code: 'ASSENT_UNCLEAR',
          outcome: 'aborted',
          message: `The connection to ${this.#name} was lost before anything was committed`,
          cause: this.#lastError,
        }
    }
  }

  /**
   * What a statement may not do, before it is sent.
   *
   * @throws AssentError `ASSENT_TRANSACTION_CONTROL`, `ASSENT_BRANCH_ENDED`, `ASSENT_OPTION`
   */
  check(query: unknown): void {
    const text = textOf(query)
    if (this.#usable === 'sealed') {
      this.#onLateUse()
      throw usedTooLate(this.#name)
    }
    for (const { effect, statement } of effectsOf(text)) {
      if (effect === 'control' || (effect === 'mode' && this.#access === 'read')) {
        throw this.#refusal(statement)
      }
      if (effect === 'idle') throw this.#idleRefusal()
      if (effect === 'cursors') throw this.#cursorsRefusal()
    }
  }

  /** What a statement that is sent now may do to this connection. */
  #note(query: unknown): void {
    const effects = effectsOf(textOf(query))
    // Parsed before under its name: nobody sees what it is.
    if (effects.length === 0) {
      this.#marks = 'maybe touched'
      this.#wire.sets = 'maybe'
    }
    for (const { effect, setsSettings, setsMode, namesMarks } of effects) {
      if (setsSettings) this.#wire.sets = 'maybe'
      if (effect === 'session' || effect === 'role') this.#session = 'touched'
      if (setsMode) this.#mode = 'maybe set'
      if (namesMarks) this.#marks = 'maybe touched'
      if (effect === 'rollback-to') this.#harmlessRollbacks += 1
    }
  }

  #refusal(statement: string): AssentError {
    const words = statement.split(/\s+/).slice(0, 3).join(' ').slice(0, 40)
    return new AssentError({
      code: 'ASSENT_TRANSACTION_CONTROL',
      outcome: 'aborted',
      message:
        `${this.#name}: "${words}" would begin, end or change the transaction that Assent runs, ` +
        `so it was not sent. Return from the function to commit, throw to roll back; inside, use ` +
        `SAVEPOINT, RELEASE and ROLLBACK TO.`,
    })
  }

  #idleRefusal(): AssentError {
    return new AssentError({
      code: 'ASSENT_TRANSACTION_CONTROL',
      outcome: 'aborted',
      message:
        `${this.#name}: idle_in_transaction_session_timeout is Assent's own inside a transaction, so ` +
        `the statement was not sent. Give transaction() another timeoutMs instead.`,
    })
  }

  #cursorsRefusal(): AssentError {
    return new AssentError({
      code: 'ASSENT_TRANSACTION_CONTROL',
      outcome: 'aborted',
      message:
        `${this.#name}: CLOSE ALL would close the one by which Assent knows its transaction again, so ` +
        `the statement was not sent. Close your cursors by their names, or leave them to the end of ` +
        `the transaction.`,
    })
  }

  // --- what is heard --------------------------------------------------------------------------

  onTag(tag: string): void {
    if (this.#usable === 'sealed') return
    // Somebody gave the connection back before all of his was answered.
    if (this.#turn === 'before ours' && !(this.#ownTags > 0 && tag === 'BEGIN')) {
      if (SETTING_TAGS.has(tag)) this.#wire.sets = 'maybe'
      return
    }
    this.#turn = 'ours'
    if (this.#ownTags > 0) {
      this.#ownTags -= 1
      return
    }
    if (tag === 'ROLLBACK') {
      this.#harmlessRollbacks -= 1
      if (this.#harmlessRollbacks < 0) this.#leave(tag)
    }
    if (CONTROL_TAGS.has(tag)) this.#leave(tag)
    if (SETTING_TAGS.has(tag)) this.#wire.sets = 'maybe'
  }

  onReady(status: string): void {
    if (this.#turn === 'before ours' || this.#usable === 'sealed') return
    this.#answered += 1
    this.#heardAt = this.#world.now()
    // A failed transaction has its settings taken back as well, and shows it by its status. And what
    // a statement of the user's has set proves nothing: then the mark's proof has to tell.
    const isAnother = this.#isReported && status === 'T' && this.#mode === 'kept'
    this.#isReported = false
    const isOver = status === 'I' || isAnother
    if (isOver && this.#course.kind !== 'left') this.#leave(NO_TAG)
    if (this.#course.kind === 'inside' && status === 'E') {
      this.#course = { kind: 'failed', error: this.#lastError }
    } else if (this.#course.kind === 'failed' && status === 'T') {
      this.#course = { kind: 'inside' }
    }
  }

  onSetting(name: string, value: string): void {
    if (name !== WATCHED || this.#turn === 'before ours' || this.endings === 'none') return
    this.#watch = this.#watch === 'unheard' && value === 'on' ? 'unchanged' : 'changed'
    this.#isReported = this.#watch === 'changed'
  }

  onError(error: ServerError): void {
    if (this.#usable === 'sealed') return
    // 25P02 only repeats that an earlier statement failed; that one is the cause to tell.
    if (error.code !== '25P02') this.#lastError = error
  }

  onEnd(): void {
    if (this.#usable === 'sealed') return
    this.#course = this.#course.kind === 'left' ? this.#course : { kind: 'lost' }
  }

  #leave(tag: string): void {
    const before = this.#course.kind === 'left' ? this.#course : undefined
    const escaped = ESCAPING_TAGS.has(tag) ? 'work' : (before?.escaped ?? 'nothing')
    this.#course = { kind: 'left', tag: before?.tag ?? tag, escaped }
  }
}

/** The SQL of whatever `client.query` accepts. */
function textOf(query: unknown): string {
  if (typeof query === 'string') return query
  if (typeof query === 'object' && query !== null) {
    if ('text' in query && typeof query.text === 'string') return query.text
    // pg-query-stream wraps a cursor.
    if ('cursor' in query) return textOf(query.cursor)
    if ('name' in query && typeof query.name === 'string') return ''
  }
  throw new AssentError({
    code: 'ASSENT_OPTION',
    outcome: 'aborted',
    message:
      `A query without a readable text was given (${typeof query}). Expected a string, or an ` +
      `object with \`text\`: node-postgres' query config, a Query, a Cursor or a QueryStream.`,
  })
}

/** Whether `client.query` would return this object itself instead of a promise. */
export function isSubmittable(query: unknown): query is Submittable {
  return (
    typeof query === 'object' &&
    query !== null &&
    'submit' in query &&
    typeof query.submit === 'function'
  )
}
