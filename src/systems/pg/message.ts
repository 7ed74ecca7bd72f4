/**
 * Assent's own messages to PostgreSQL: several statements under one Sync.
 *
 * Owns: sending what Assent itself says on a connection, and gathering the whole answer.
 * Promises: one message, one Sync: the statement behind a failed one is skipped by the server, and
 * never runs. The reply has every tag in full (node-postgres keeps only the first word of a tag,
 * and `PREPARE TRANSACTION` and `PREPARE` are not the same answer), every warning, and the status
 * that the server reported last.
 * Never: takes an error alone for an answer. A server that goes down reports an error too, and
 * then closes the connection without saying that it is ready again: that is `lost`.
 *
 * Source: PostgreSQL manual, "Extended Query": after an error, the backend discards messages until
 * a Sync is reached.
 */
import { isServerError } from './driver.ts'
import type { Notice, PgClient, PgConnection, ServerError, Submittable } from './driver.ts'
import { Wire } from './wire.ts'
import type { Parsing, Statement, WireListener } from './wire.ts'

/** A warning, and the statement (counted from 0) that was running when it came. */
export interface Warning {
  readonly during: number
  readonly message: string
}

export type Reply =
  | {
      readonly kind: 'answered'
      /** The tag of each statement that completed, in full: `INSERT 0 1`. */
      readonly tags: readonly string[]
      /** The rows of each statement that had any, as text. */
      readonly rows: readonly (Rows | undefined)[]
      /** The error that stopped the message, if one did. */
      readonly error: ServerError | undefined
      readonly warnings: readonly Warning[]
      /** `I` outside a transaction, `T` inside, `E` inside a failed one. */
      readonly status: string
    }
  /** The connection ended before the server said that it was ready. */
  | { readonly kind: 'lost'; readonly cause: unknown }

/** Of one statement, each value as text. */
export type Rows = readonly (readonly (string | null)[])[]
type Gathered = (string | null)[][]

/** The whole answer, as opposed to a connection that was lost. */
export type Answered = Extract<Reply, { kind: 'answered' }>

export const NOTHING: readonly Statement[] = []
function nothing(): void {}

/**
 * Sends one message and waits for its whole answer. Never rejects. `fixed` is what it begins with: the
 * same list again and again.
 */
export function send(
  client: PgClient,
  own: readonly Statement[],
  fixed: readonly Statement[] = NOTHING,
): Promise<Reply> {
  return new Promise((resolve) => {
    try {
      client.query(new Message(fixed, own, resolve))
    } catch (cause) {
      // Whatever wraps the driver threw; what was sent by then, nobody knows.
      resolve({ kind: 'lost', cause })
    }
  })
}

class Message implements Submittable, WireListener {
  /**
   * Called when all is answered. node-postgres wraps it to stop its own timer (`query_timeout`), and
   * tracers wrap it to end their span; without one they take us for a promise.
   */
  callback: () => void = nothing
  /** For tracers. */
  readonly text = 'assent'
  readonly #fixed: readonly Statement[]
  readonly #own: readonly Statement[]
  readonly #resolve: (reply: Reply) => void
  readonly #tags: string[] = []
  readonly #rows: Gathered[] = []
  readonly #warnings: Warning[] = []
  #error: ServerError | undefined
  #isSubmitted = false
  #wire: Wire | undefined
  #parsing: Parsing | undefined

  constructor(
    fixed: readonly Statement[],
    own: readonly Statement[],
    resolve: (reply: Reply) => void,
  ) {
    this.#fixed = fixed
    this.#own = own
    this.#resolve = resolve
  }

  submit(connection: PgConnection): null {
    this.#isSubmitted = true
    const wire = Wire.of(connection)
    this.#wire = wire
    wire.listen(this)
    this.#parsing = wire.write(this.#fixed, this.#own)
    return null
  }

  onReady(status: string): void {
    this.#settle({
      kind: 'answered',
      tags: this.#tags,
      rows: this.#rows,
      error: this.#error,
      warnings: this.#warnings,
      status,
    })
  }

  onEnd(): void {
    this.#settle({ kind: 'lost', cause: this.#error ?? new Error('the connection was closed') })
  }

  onNotice(notice: Notice): void {
    // By code: the severity comes in the server's language. A notice has the code of success.
    if (notice.code === '00000') return
    this.#warnings.push({ during: this.#tags.length, message: notice.message ?? '' })
  }

  onRecognised(tags: readonly string[]): void {
    this.#tags.push(...tags)
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    const rows = (this.#rows[this.#tags.length] ??= [])
    rows.push(message.fields)
  }

  handleCommandComplete(message: { text: string }): void {
    this.#tags.push(message.text)
  }

  handleError(error: Error): void {
    // A server's error is followed by ReadyForQuery, or by the end of the connection. Anything else
    // is the driver's own: a broken socket, or a query_timeout that leaves the server at work. And a
    // message that still waited for its turn hears nothing more, whoever's error it is.
    if (this.#isSubmitted && isServerError(error)) this.#error = error
    else this.#settle({ kind: 'lost', cause: error })
  }

  #settle(reply: Reply): void {
    this.#wire?.unlisten(this)
    this.#parsing?.completed(this.#tags.length)
    this.#resolve(reply)
    // Stops the driver's own timer, so that it can't fire into a message that was answered.
    const { callback } = this
    this.callback = nothing
    callback()
  }

  handleRowDescription(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}
  handleReadyForQuery(): void {}
}
