/**
 * Owns: cutting the two byte streams of a MySQL or MariaDB connection into messages and answers, and
 * reading from them what a test needs: SQL texts, affected rows, errors, whether a transaction is open.
 * Promises: every byte that is pushed comes out again exactly once, in order, in some item (or is
 * still in rest()), however the stream was cut into chunks.
 * Never: does I/O, changes a byte, or guesses: what it does not understand (TLS, compression, prepared
 * statements, LOCAL INFILE, packets of 16 MB, EOF packets left out) is a WireError.
 *
 * A *message* is one command of the client; its *answer* is an OK, an error, or a result set up to its
 * end, and as many more as the server announces.
 * Sources: MySQL source documentation, "Client/Server Protocol"; MariaDB Knowledge Base, "Clientserver
 * Protocol". mysql2 speaks it so with its default flags.
 */
import {
  ByteInput,
  type BackendAnswer,
  type BackendItem,
  type ClientStream,
  type FrontendItem,
  type FrontendMessage,
  type ServerReport,
  type ServerStream,
  type StartupParameters,
  type Wire,
  WireError,
} from './wire.ts'

/** The protocol of MySQL and MariaDB, for a proxy or a killable stream. */
export const MYSQL_WIRE: Wire = {
  open: () => ({ frontend: new MysqlFrontend(), backend: new MysqlBackend() }),
}

/** Three bytes of length, one of sequence. */
const HEADER_BYTES = 4
const LONGEST_PAYLOAD = 0xff_ff_ff

class PacketInput extends ByteInput {
  takePacket(): Buffer | undefined {
    if (this.length < HEADER_BYTES) return undefined
    const payload = this.bytes.readUIntLE(0, 3)
    if (payload === LONGEST_PAYLOAD) throw new WireError('a packet is too long for a test')
    return this.takeWhole(HEADER_BYTES + payload)
  }
}

const CLIENT = {
  connectWithDatabase: 1 << 3,
  compress: 1 << 5,
  ssl: 1 << 11,
  pluginAuth: 1 << 19,
  connectAttributes: 1 << 20,
  lengthEncodedAuth: 1 << 21,
  deprecateEof: 1 << 24,
} as const

const COMMAND = {
  quit: 0x01,
  initDatabase: 0x02,
  query: 0x03,
  ping: 0x0e,
  resetConnection: 0x1f,
} as const

/** The stream from client to server. */
export class MysqlFrontend implements ClientStream {
  readonly #input = new PacketInput()
  #startedUp = false

  push(chunk: Uint8Array): FrontendItem[] {
    this.#input.append(chunk)
    const items: FrontendItem[] = []
    for (let bytes = this.#input.takePacket(); bytes; bytes = this.#input.takePacket()) {
      items.push(this.#read(bytes))
    }
    return items
  }

  #read(bytes: Buffer): FrontendItem {
    // A command begins a sequence; what goes on with one is part of logging in.
    if (bytes[3] !== 0) {
      if (this.#startedUp) return { kind: 'outside', bytes, tag: 'authentication' }
      this.#startedUp = true
      return { kind: 'startup', bytes, parameters: readHandshake(bytes) }
    }
    const command = bytes[HEADER_BYTES]
    switch (command) {
      case COMMAND.quit:
        return { kind: 'outside', bytes, tag: 'quit' }
      case COMMAND.query:
        return messageOf(bytes, [{ sql: queryIn(bytes), executed: true }])
      case COMMAND.initDatabase:
      case COMMAND.ping:
      case COMMAND.resetConnection:
        return messageOf(bytes, [])
      case undefined:
      default:
        throw new WireError(`command ${String(command)} of MySQL's protocol is not understood here`)
    }
  }
}

function messageOf(bytes: Buffer, statements: FrontendMessage['statements']): FrontendItem {
  return {
    kind: 'message',
    bytes,
    message: { kind: 'command', statements, bytes, continued: false },
  }
}

/** MySQL 8 lets attributes stand before the text: none, in one set, is what mysql2 sends. */
function queryIn(bytes: Buffer): string {
  const start = HEADER_BYTES + 1
  const hasAttributes = bytes[start] === 0 && bytes[start + 1] === 1
  return bytes.toString('utf8', hasAttributes ? start + 2 : start)
}

/** HandshakeResponse41. */
function readHandshake(bytes: Buffer): StartupParameters {
  const flags = bytes.readUInt32LE(HEADER_BYTES)
  if ((flags & CLIENT.ssl) !== 0) throw new WireError('the stream is to be encrypted')
  if ((flags & CLIENT.compress) !== 0) throw new WireError('the stream is to be compressed')
  if ((flags & CLIENT.deprecateEof) !== 0) throw new WireError('EOF packets are to be left out')
  const read = new Reader(bytes, HEADER_BYTES + 32)
  const user = read.text()
  if ((flags & CLIENT.lengthEncodedAuth) !== 0) read.skip(read.lengthEncoded())
  else read.skip(read.byte())
  const database = (flags & CLIENT.connectWithDatabase) !== 0 ? read.text() : ''
  if ((flags & CLIENT.pluginAuth) !== 0) read.text()
  const attributes = (flags & CLIENT.connectAttributes) !== 0 ? read.pairs() : {}
  return { user, database, application_name: attributes['program_name'] ?? '' }
}

/** Where in an answer the stream is. */
type Part = 'start' | 'columns' | 'rows'

const OK = 0x00
const LOCAL_INFILE = 0xfb
const EOF = 0xfe
const ERROR = 0xff
/** A row may begin with the same byte as EOF, but is longer then. */
const LONGEST_EOF = 9
const STATUS = { inTransaction: 0x0001, moreResults: 0x0008 } as const

/** The stream from server to client. */
export class MysqlBackend implements ServerStream {
  readonly #input = new PacketInput()
  #expected = 0
  #part: Part = 'start'
  #rows = 0
  #gathered: Buffer[] = []
  #tags: string[] = []
  #errors: ServerReport[] = []
  #notices: ServerReport[] = []
  /** An error does not say whether a transaction is open: as it was before. */
  #status: 'I' | 'T' = 'I'

  expectAnswer(): void {
    this.#expected += 1
  }

  expectNegotiation(): void {
    throw new WireError('MySQL has no negotiation before the handshake')
  }

  push(chunk: Uint8Array): BackendItem[] {
    this.#input.append(chunk)
    const items: BackendItem[] = []
    for (let bytes = this.#input.takePacket(); bytes; bytes = this.#input.takePacket()) {
      const item = this.#read(bytes)
      if (item !== undefined) items.push(item)
    }
    return items
  }

  rest(): Buffer {
    return Buffer.concat([...this.#gathered, this.#input.rest()])
  }

  #read(bytes: Buffer): BackendItem | undefined {
    // Greeting, authentication; a last word before the server closes.
    if (this.#expected === 0) return { kind: 'outside', bytes, tag: String(bytes[HEADER_BYTES]) }
    this.#gathered.push(bytes)
    const isLast = this.#part === 'start' ? this.#begin(bytes) : this.#goOn(bytes)
    return isLast ? this.#complete() : undefined
  }

  #begin(bytes: Buffer): boolean {
    switch (bytes[HEADER_BYTES]) {
      case OK: {
        const read = new Reader(bytes, HEADER_BYTES + 1)
        const affected = read.lengthEncoded()
        read.lengthEncoded() // The last id that was given.
        this.#tags.push(affected === 0 ? 'OK' : `OK ${affected}`)
        return this.#endOfOne(read.uint16(), read.uint16())
      }
      case ERROR:
        return this.#failed(bytes)
      case LOCAL_INFILE:
        throw new WireError('LOCAL INFILE is not understood here')
      case undefined:
      default:
        this.#part = 'columns'
        this.#rows = 0
        return false
    }
  }

  #goOn(bytes: Buffer): boolean {
    const first = bytes[HEADER_BYTES]
    if (first === ERROR) return this.#failed(bytes)
    if (first !== EOF || bytes.length - HEADER_BYTES >= LONGEST_EOF) {
      if (this.#part === 'rows') this.#rows += 1
      return false
    }
    if (this.#part === 'columns') {
      this.#part = 'rows'
      return false
    }
    this.#tags.push(`ROWS ${this.#rows}`)
    const read = new Reader(bytes, HEADER_BYTES + 1)
    const warnings = read.uint16()
    return this.#endOfOne(read.uint16(), warnings)
  }

  #failed(bytes: Buffer): boolean {
    const number = bytes.readUInt16LE(HEADER_BYTES + 1)
    this.#errors.push({
      severity: 'ERROR',
      sqlState: String(number),
      // Behind '#' and five characters of an SQLSTATE.
      text: bytes.toString('utf8', HEADER_BYTES + 9),
    })
    return true
  }

  #endOfOne(status: number, warnings: number): boolean {
    this.#part = 'start'
    this.#status = (status & STATUS.inTransaction) === 0 ? 'I' : 'T'
    for (let each = 0; each < warnings; each += 1) {
      this.#notices.push({ severity: 'WARNING', sqlState: 'warning', text: '' })
    }
    return (status & STATUS.moreResults) === 0
  }

  #complete(): BackendItem {
    const bytes = Buffer.concat(this.#gathered)
    const answer: BackendAnswer = {
      commandTags: this.#tags,
      errors: this.#errors,
      notices: this.#notices,
      status: this.#status,
      bytes,
    }
    this.#expected -= 1
    this.#part = 'start'
    this.#gathered = []
    this.#tags = []
    this.#errors = []
    this.#notices = []
    return { kind: 'answer', bytes, answer }
  }
}

/** Reads what a packet is made of, from a place on. */
class Reader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  byte(): number {
    this.#at += 1
    return this.#bytes.readUInt8(this.#at - 1)
  }

  uint16(): number {
    this.#at += 2
    return this.#bytes.readUInt16LE(this.#at - 2)
  }

  skip(bytes: number): void {
    this.#at += bytes
  }

  /** Up to a zero byte. */
  text(): string {
    const end = this.#bytes.indexOf(0, this.#at)
    if (end < 0) throw new WireError('a text without its end')
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end + 1
    return text
  }

  lengthEncoded(): number {
    const first = this.byte()
    const size = { 0xfc: 2, 0xfd: 3, 0xfe: 6 }[first]
    if (size === undefined) return first
    const value = this.#bytes.readUIntLE(this.#at, size)
    this.#at += first === 0xfe ? 8 : size
    return value
  }

  /** Names and values, each behind its length; together behind theirs. */
  pairs(): Readonly<Record<string, string>> {
    const length = this.lengthEncoded()
    const end = this.#at + length
    const pairs: Record<string, string> = {}
    while (this.#at < end) pairs[this.#sized()] = this.#sized()
    return pairs
  }

  #sized(): string {
    const length = this.lengthEncoded()
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }
}
