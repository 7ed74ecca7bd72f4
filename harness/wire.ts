/**
 * Owns: what a proxy and a killable stream know of a connection, whichever protocol it speaks: a client
 * sends messages, each of which the server answers once.
 * Never: knows a byte of either protocol (`wire-frames.ts` is PostgreSQL's, `mysql-frames.ts` is that of
 * MySQL and MariaDB).
 */

/** One protocol. */
export interface Wire {
  /** The two directions of a new connection. */
  open(): { readonly frontend: ClientStream; readonly backend: ServerStream }
}

export interface ClientStream {
  push(chunk: Uint8Array): FrontendItem[]
}

export interface ServerStream {
  push(chunk: Uint8Array): BackendItem[]
  /** What has arrived but made no whole item. */
  rest(): Buffer
  /** A message was forwarded: what comes next answers it. */
  expectAnswer(how: { readonly letGoEarly: boolean }): void
  expectNegotiation(): void
}

export interface Statement {
  readonly sql: string
  /** False for a statement that this message only prepares or describes. */
  readonly executed: boolean
}

export interface FrontendMessage {
  readonly kind: 'simple' | 'extended' | 'function-call' | 'command'
  readonly statements: readonly Statement[]
  readonly bytes: Buffer
  /** True if a Flush already let a part of this message go (an item 'early' came before). */
  readonly continued: boolean
}

export type FrontendItem =
  | { readonly kind: 'startup'; readonly bytes: Buffer; readonly parameters: StartupParameters }
  | { readonly kind: 'encryption-request'; readonly bytes: Buffer }
  | { readonly kind: 'cancel-request'; readonly bytes: Buffer; readonly processId: number }
  /** Belongs to no message: password, COPY data and its end, Terminate. */
  | { readonly kind: 'outside'; readonly bytes: Buffer; readonly tag: string }
  /** The part of a message up to a Flush: the client waits for answers before it sends the rest. */
  | { readonly kind: 'early'; readonly bytes: Buffer; readonly message: FrontendMessage }
  | { readonly kind: 'message'; readonly bytes: Buffer; readonly message: FrontendMessage }

export type StartupParameters = Readonly<Record<string, string>>

export interface ServerReport {
  readonly severity: string
  readonly sqlState: string
  readonly text: string
}

export interface BackendAnswer {
  /**
   * Every CommandComplete in order, e.g. `['INSERT 0 1', 'PREPARE TRANSACTION']`; of MySQL's protocol
   * `OK`, `OK 1` where a row was changed, `ROWS 2`.
   */
  readonly commandTags: readonly string[]
  readonly errors: readonly ServerReport[]
  /** Warnings and notices: they came with this answer and may change what it means. */
  readonly notices: readonly ServerReport[]
  /** Idle, in a transaction, or in a failed one (which MySQL does not tell apart). */
  readonly status: 'I' | 'T' | 'E'
  /** What wasn't already let go early (COPY, Flush). */
  readonly bytes: Buffer
}

export type BackendItem =
  /** The one byte that answers an encryption request: 'N' is no. */
  | { readonly kind: 'negotiation'; readonly bytes: Buffer; readonly tag: string }
  /** Belongs to no answer: authentication, the first ReadyForQuery, notices to an idle client. */
  | { readonly kind: 'outside'; readonly bytes: Buffer; readonly tag: string }
  /** A part of an answer that can't wait for its end, because the client must act on it. */
  | { readonly kind: 'early'; readonly bytes: Buffer }
  | { readonly kind: 'answer'; readonly bytes: Buffer; readonly answer: BackendAnswer }

export class WireError extends Error {}

const MOST_BYTES = 64 * 1024 * 1024

/** Bytes that arrived and don't yet make a whole frame. */
export class ByteInput {
  protected bytes = Buffer.alloc(0)

  append(chunk: Uint8Array): void {
    this.bytes = Buffer.concat([this.bytes, chunk])
    if (this.bytes.length > MOST_BYTES) throw new WireError('a frame is too long for a test')
  }

  get length(): number {
    return this.bytes.length
  }

  peekByte(): number | undefined {
    return this.bytes[0]
  }

  rest(): Buffer {
    return this.bytes
  }

  protected takeWhole(length: number): Buffer | undefined {
    if (length > MOST_BYTES) throw new WireError(`a frame of ${length} bytes`)
    return this.bytes.length < length ? undefined : this.take(length)
  }

  protected take(length: number): Buffer {
    const taken = this.bytes.subarray(0, length)
    this.bytes = this.bytes.subarray(length)
    return taken
  }
}
