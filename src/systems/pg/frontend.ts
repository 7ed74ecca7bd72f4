/**
 * PostgreSQL's frontend messages, as bytes.
 *
 * Owns: the encoding of Close, Parse, Bind, Execute, Sync and Query.
 * Promises: a message of ours is one buffer, so that it leaves in one piece, by one call.
 * (node-postgres writes each part by itself: of a message of eight statements that is 25 parts.)
 *
 * Source: PostgreSQL manual, "Message Formats", protocol 3.0.
 */

const PARSE = 0x50
const BIND = 0x42
const EXECUTE = 0x45
const SYNC = 0x53
const QUERY = 0x51
const CLOSE = 0x43
const STATEMENT = 0x53

const FIRST_BYTES = 8_192

export class FrontendMessage {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES)
  #at = 0
  #start = 0

  /** Forgets a statement's name; no error if there is none. */
  close(name: string): void {
    this.#begin(CLOSE)
    this.#byte(STATEMENT)
    this.#text(name)
    this.#end()
  }

  /** The types of parameters are left to the server: ours are all cast in the text. */
  parse(name: string, text: string): void {
    this.#begin(PARSE)
    this.#text(name)
    this.#text(text)
    this.#int16(0)
    this.#end()
  }

  /** Values and results are text; `null` is SQL's null. */
  bind(name: string, values: readonly (string | null)[], portal = ''): void {
    this.#begin(BIND)
    this.#text(portal)
    this.#text(name)
    this.#int16(0)
    this.#int16(values.length)
    for (const value of values) this.#value(value)
    this.#int16(0)
    this.#end()
  }

  execute(portal = ''): void {
    this.#begin(EXECUTE)
    this.#text(portal)
    this.#int32(0)
    this.#end()
  }

  sync(): void {
    this.#begin(SYNC)
    this.#end()
  }

  /** A whole message by the simple protocol. */
  query(text: string): void {
    this.#begin(QUERY)
    this.#text(text)
    this.#end()
  }

  /** What was encoded before. */
  again(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** Drops what was left by an encoding that failed; or what was written behind `to`. */
  reset(to = 0): void {
    this.#at = to
  }

  /** How much was written since the last time. */
  get length(): number {
    return this.#at
  }

  /** What was written since the last time; and goes on. */
  copy(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#at))
  }

  /** What was written since the last time. */
  take(): Buffer {
    const taken = this.copy()
    this.#at = 0
    return taken
  }

  #begin(type: number): void {
    this.#byte(type)
    this.#start = this.#at
    this.#int32(0)
  }

  #end(): void {
    this.#bytes.writeInt32BE(this.#at - this.#start, this.#start)
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at] = value
    this.#at += 1
  }

  #int16(value: number): void {
    this.#reserve(2)
    this.#at = this.#bytes.writeInt16BE(value, this.#at)
  }

  #int32(value: number): void {
    this.#reserve(4)
    this.#at = this.#bytes.writeInt32BE(value, this.#at)
  }

  #text(text: string): void {
    // Three bytes of UTF-8 at most for each unit of the text.
    this.#reserve(text.length * 3 + 1)
    this.#at += this.#bytes.write(text, this.#at, 'utf8')
    this.#bytes[this.#at] = 0
    this.#at += 1
  }

  #value(value: string | null): void {
    if (value === null) {
      this.#int32(-1)
      return
    }
    this.#reserve(value.length * 3 + 4)
    const length = this.#bytes.write(value, this.#at + 4, 'utf8')
    this.#at = this.#bytes.writeInt32BE(length, this.#at) + length
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe((this.#at + count) * 2)
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
