/**
 * Owns: cutting the two byte streams of a PostgreSQL connection (protocol 3) into messages and
 * answers, and reading from them what a test needs: SQL texts, command tags, SQLSTATEs, status.
 * Promises: every byte that is pushed comes out again exactly once, in order, in some item (or is
 * still in rest()), however the stream was cut into chunks.
 * Never: does I/O, changes a byte, or understands an encrypted stream (it throws a WireError).
 *
 * A *message* is what a client sends up to and including one Sync, one simple Query or one function
 * call; the server answers each with exactly one ReadyForQuery, which ends the *answer*.
 * Source: PostgreSQL manual, chapters "Message Flow" and "Message Formats".
 */

import {
  ByteInput,
  type BackendAnswer,
  type BackendItem,
  type FrontendItem,
  type FrontendMessage,
  type ServerReport,
  type StartupParameters,
  type Wire,
  WireError,
} from './wire.ts'

export { WireError } from './wire.ts'
export type * from './wire.ts'

/** PostgreSQL's protocol, for a proxy or a killable stream. */
export const POSTGRES_WIRE: Wire = {
  open: () => ({ frontend: new FrontendParser(), backend: new BackendParser() }),
}

/** The stream from client to server. */
export class FrontendParser {
  readonly #input = new FrameInput()
  readonly #prepared = new Map<string, string>()
  readonly #portals = new Map<string, string>()
  #startedUp = false
  #gathered: Buffer[] = []
  #statements: { name: string; sql: string; executed: boolean }[] = []
  #continued = false
  #copyEnded = false

  push(chunk: Uint8Array): FrontendItem[] {
    this.#input.append(chunk)
    const items: FrontendItem[] = []
    for (;;) {
      const item = this.#startedUp ? this.#takeTyped() : this.#takeUntyped()
      if (item === 'incomplete') return items
      if (item !== 'gathered') items.push(item)
    }
  }

  /** Startup, encryption and cancel requests have a length and a code, but no type byte. */
  #takeUntyped(): FrontendItem | 'incomplete' {
    const tlsHandshake = 0x16
    if (this.#input.peekByte() === tlsHandshake) throw new WireError('the stream is encrypted')
    const bytes = this.#input.takeUntyped()
    if (bytes === undefined) return 'incomplete'
    const code = bytes.readInt32BE(4)
    switch (code) {
      case 80877102:
        return { kind: 'cancel-request', bytes, processId: bytes.readInt32BE(8) }
      case 80877103: // SSLRequest
      case 80877104: // GSSENCRequest
        return { kind: 'encryption-request', bytes }
      default:
        return this.#startUp(code, bytes)
    }
  }

  #startUp(code: number, bytes: Buffer): FrontendItem {
    if (code >> 16 !== 3) throw new WireError(`unknown protocol version ${code >> 16}`)
    this.#startedUp = true
    return { kind: 'startup', bytes, parameters: readParameters(bytes) }
  }

  #takeTyped(): FrontendItem | 'incomplete' | 'gathered' {
    const bytes = this.#input.takeTyped()
    if (bytes === undefined) return 'incomplete'
    const tag = tagOf(bytes)
    switch (tag) {
      case 'Q':
        this.#statements.push({ name: '', sql: readText(bytes, 5).text, executed: true })
        return this.#complete('simple', bytes)
      case 'F':
        return this.#complete('function-call', bytes)
      case 'S':
        // The server ignores a Sync during COPY (libpq sends one there), so the Sync behind the
        // end of the COPY data isn't a message of its own: both have one ReadyForQuery.
        if (this.#copyEnded && this.#gathered.length === 0) {
          this.#copyEnded = false
          return { kind: 'outside', bytes, tag }
        }
        return this.#complete('extended', bytes)
      case 'H':
        return this.#letGoEarly(bytes)
      case 'p': // password and SASL
      case 'd': // CopyData
      case 'X': // Terminate
        return { kind: 'outside', bytes, tag }
      case 'c': // CopyDone
      case 'f': // CopyFail
        this.#copyEnded = true
        return { kind: 'outside', bytes, tag }
      case 'P':
      case 'B':
      case 'D':
      case 'E':
      case 'C':
        this.#read(tag, bytes)
        this.#gathered.push(bytes)
        return 'gathered'
      default:
        throw new WireError(`unknown message type ${JSON.stringify(tag)} from the client`)
    }
  }

  #read(tag: 'P' | 'B' | 'D' | 'E' | 'C', bytes: Buffer): void {
    const first = readText(bytes, 5)
    switch (tag) {
      case 'P': {
        const sql = readText(bytes, first.next).text
        this.#prepared.set(first.text, sql)
        this.#statements.push({ name: first.text, sql, executed: false })
        return
      }
      case 'B': {
        // A name that was never seen here was prepared by SQL, with PREPARE.
        const name = readText(bytes, first.next).text
        this.#portals.set(first.text, this.#prepared.get(name) ?? `<prepared ${name}>`)
        return
      }
      case 'E': {
        const sql = this.#portals.get(first.text) ?? `<portal ${first.text}>`
        const announced = this.#statements.find((each) => each.sql === sql && !each.executed)
        if (announced) announced.executed = true
        else this.#statements.push({ name: first.text, sql, executed: true })
        return
      }
      case 'C':
        if (first.text.startsWith('S')) this.#prepared.delete(first.text.slice(1))
        else this.#portals.delete(first.text.slice(1))
        return
      case 'D':
        return
    }
  }

  #complete(kind: FrontendMessage['kind'], last: Buffer): FrontendItem {
    const message = this.#cut(kind, last)
    this.#statements = []
    this.#continued = false
    return { kind: 'message', bytes: message.bytes, message }
  }

  #letGoEarly(flush: Buffer): FrontendItem {
    const message = this.#cut('extended', flush)
    this.#continued = true
    return { kind: 'early', bytes: message.bytes, message }
  }

  #cut(kind: FrontendMessage['kind'], last: Buffer): FrontendMessage {
    const bytes = Buffer.concat([...this.#gathered, last])
    const statements = this.#statements.map(({ sql, executed }) => ({ sql, executed }))
    this.#gathered = []
    this.#copyEnded = false
    return { kind, statements, bytes, continued: this.#continued }
  }
}

/**
 * The stream from server to client. It can't tell by itself where an answer begins, so whoever
 * forwards a message says so first, with expectAnswer().
 */
export class BackendParser {
  readonly #input = new FrameInput()
  readonly #expected: { letGoEarly: boolean }[] = []
  #negotiating = 0
  #gathered: Buffer[] = []
  #commandTags: string[] = []
  #errors: ServerReport[] = []
  #notices: ServerReport[] = []

  /** `letGoEarly`: the client sent a Flush and waits for the parts of this answer. */
  expectAnswer({ letGoEarly = false } = {}): void {
    this.#expected.push({ letGoEarly })
  }

  expectNegotiation(): void {
    this.#negotiating += 1
  }

  push(chunk: Uint8Array): BackendItem[] {
    this.#input.append(chunk)
    const items: BackendItem[] = []
    for (;;) {
      const item = this.#take()
      if (item === 'incomplete') return items
      if (item !== 'gathered') items.push(item)
    }
  }

  /** What has arrived but made no whole item: a server's last words have no ReadyForQuery. */
  rest(): Buffer {
    return Buffer.concat([...this.#gathered, this.#input.rest()])
  }

  #take(): BackendItem | 'incomplete' | 'gathered' {
    if (this.#negotiating > 0) {
      const byte = this.#input.takeByte()
      if (byte === undefined) return 'incomplete'
      this.#negotiating -= 1
      const tag = tagOf(byte)
      if (tag === 'S' || tag === 'G') throw new WireError('the server agreed to encryption')
      return { kind: 'negotiation', bytes: byte, tag }
    }
    const bytes = this.#input.takeTyped()
    if (bytes === undefined) return 'incomplete'
    const tag = tagOf(bytes)
    const current = this.#expected[0]
    if (current === undefined) return { kind: 'outside', bytes, tag }
    this.#gathered.push(bytes)
    if (tag === 'C') this.#commandTags.push(readText(bytes, 5).text)
    if (tag === 'E') this.#errors.push(readReport(bytes))
    if (tag === 'N') this.#notices.push(readReport(bytes))
    if (tag === 'Z') return this.#complete(bytes)
    // CopyInResponse, CopyBothResponse: the client has to send its data before the end can come.
    if (current.letGoEarly || tag === 'G' || tag === 'W') {
      return { kind: 'early', bytes: this.#cut() }
    }
    return 'gathered'
  }

  #complete(ready: Buffer): BackendItem {
    const status = String.fromCharCode(ready[5] ?? 0)
    if (status !== 'I' && status !== 'T' && status !== 'E') {
      throw new WireError(`unknown transaction status ${JSON.stringify(status)}`)
    }
    const bytes = this.#cut()
    const answer: BackendAnswer = {
      commandTags: this.#commandTags,
      errors: this.#errors,
      notices: this.#notices,
      status,
      bytes,
    }
    this.#expected.shift()
    this.#commandTags = []
    this.#errors = []
    this.#notices = []
    return { kind: 'answer', bytes, answer }
  }

  #cut(): Buffer {
    const bytes = Buffer.concat(this.#gathered)
    this.#gathered = []
    return bytes
  }
}

class FrameInput extends ByteInput {
  takeByte(): Buffer | undefined {
    return this.length > 0 ? this.take(1) : undefined
  }

  takeUntyped(): Buffer | undefined {
    if (this.length < 8) return undefined
    return this.#takeFrame(this.bytes.readInt32BE(0), 8)
  }

  takeTyped(): Buffer | undefined {
    if (this.length < 5) return undefined
    return this.#takeFrame(this.bytes.readInt32BE(1) + 1, 5)
  }

  #takeFrame(length: number, shortest: number): Buffer | undefined {
    if (length < shortest) {
      throw new WireError(`a frame of ${length} bytes: this isn't PostgreSQL's protocol`)
    }
    return this.takeWhole(length)
  }
}

function tagOf(frame: Buffer): string {
  return String.fromCharCode(frame[0] ?? 0)
}

function readText(frame: Buffer, start: number): { text: string; next: number } {
  const end = frame.indexOf(0, start)
  if (end < 0) throw new WireError('a text without its end')
  return { text: frame.toString('utf8', start, end), next: end + 1 }
}

function readParameters(frame: Buffer): StartupParameters {
  const parameters: Record<string, string> = {}
  for (let at = 8; at < frame.length && frame[at] !== 0;) {
    const key = readText(frame, at)
    const value = readText(frame, key.next)
    parameters[key.text] = value.text
    at = value.next
  }
  return parameters
}

/** ErrorResponse, NoticeResponse: fields of a letter and a text. V is the severity in English. */
function readReport(frame: Buffer): ServerReport {
  const fields: Record<string, string> = {}
  for (let at = 5; at < frame.length && frame[at] !== 0;) {
    const { text, next } = readText(frame, at + 1)
    fields[String.fromCharCode(frame[at] ?? 0)] = text
    at = next
  }
  return {
    severity: fields['V'] ?? fields['S'] ?? '',
    sqlState: fields['C'] ?? '',
    text: fields['M'] ?? '',
  }
}
