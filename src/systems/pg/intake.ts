/**
 * What arrives on a connection, before node-postgres reads it.
 *
 * Owns: recognising the answer to statements of ours by its bytes.
 * Promises: an answer is recognised only where it is, byte for byte, what the server says when each
 * of those statements succeeds; and only at the beginning of one of the server's messages, in the
 * first piece that arrives behind the question. Everything else, and all that follows, goes to
 * node-postgres as it came.
 * Never: changes, holds back or reorders a byte.
 *
 * Why: most of what a transaction is answered says that a setting was set. Each such answer costs the
 * driver a message object, a string, and an event with its listeners; reading answers was a quarter of
 * what the client computes for a transaction. Comparing the bytes asks for more, not for less.
 *
 * Source: PostgreSQL manual, "Message Formats", protocol 3.0.
 */
import type { PgConnection } from './driver.ts'

const BIND_COMPLETE = Buffer.from([0x32, 0, 0, 0, 4])
const [COMMAND_COMPLETE, READY_FOR_QUERY] = [0x43, 0x5a]
/** A letter, and the length of what follows, itself included. */
const HEADER_BYTES = 5

/** What statements are answered with if each succeeds, and nothing else is to be said. */
export interface KnownAnswer {
  readonly bytes: Buffer
  readonly tags: readonly string[]
}

/** Of one that was bound and executed, or bound, or executed. */
export function answerBytes(does: 'both' | 'bind' | 'execute', tag: string): Buffer {
  if (does === 'bind') return BIND_COMPLETE
  const completed = Buffer.alloc(HEADER_BYTES + tag.length + 1)
  completed[0] = COMMAND_COMPLETE
  completed.writeUInt32BE(completed.length - 1, 1)
  completed.write(tag, HEADER_BYTES, 'latin1')
  return does === 'execute' ? completed : Buffer.concat([BIND_COMPLETE, completed])
}

type Listener = (bytes: Buffer) => void

export class Intake {
  readonly #driver: Listener
  readonly #onRecognised: (tags: readonly string[]) => void
  readonly #framing = new Framing()
  #awaited: KnownAnswer | undefined
  /** `guessed`: the driver may have kept the beginning of a message, before we were there. */
  #place: 'guessed' | 'known' = 'guessed'
  /** How often the driver said so during the present piece. */
  #ready = 0

  /** Undefined where the driver does not listen in the way that we know. */
  static of(
    connection: PgConnection,
    onRecognised: (tags: readonly string[]) => void,
  ): Intake | undefined {
    const { stream } = connection
    const [listener, ...others] = stream.listeners?.('data') ?? []
    if (typeof listener !== 'function' || others.length > 0) return undefined
    const driver = listener.bind(stream) as Listener
    const intake = new Intake(driver, onRecognised)
    stream.removeListener?.('data', listener as Listener)
    stream.on?.('data', (bytes) => {
      intake.#take(bytes)
    })
    return intake
  }

  private constructor(driver: Listener, onRecognised: (tags: readonly string[]) => void) {
    this.#driver = driver
    this.#onRecognised = onRecognised
  }

  /** The next piece may begin with this. */
  expect(answer: KnownAnswer | undefined): void {
    this.#awaited = answer
  }

  /** The driver has read that the server is ready. */
  onReady(): void {
    this.#ready += 1
  }

  #take(bytes: Buffer): void {
    const known = this.#awaited
    this.#awaited = undefined
    if (this.#place === 'guessed') {
      this.#findPlace(bytes)
      return
    }
    const isThere = known !== undefined && this.#framing.isBetween && startsWith(bytes, known.bytes)
    const rest = isThere ? bytes.subarray(known.bytes.length) : bytes
    this.#framing.pass(rest)
    if (isThere) this.#onRecognised(known.tags)
    if (rest.length > 0) this.#driver(rest)
  }

  /**
   * The place is known once we and the driver have read the same of one piece. Had it begun in the
   * middle of a message, its text would have been taken for lengths of sixteen million and more.
   */
  #findPlace(bytes: Buffer): void {
    this.#framing.restart()
    this.#ready = 0
    const ready = this.#framing.pass(bytes)
    this.#driver(bytes)
    const isSame = ready > 0 && ready === this.#ready && this.#framing.isBetween
    if (isSame) this.#place = 'known'
  }
}

function startsWith(bytes: Buffer, beginning: Buffer): boolean {
  const { length } = beginning
  return bytes.length >= length && bytes.compare(beginning, 0, length, 0, length) === 0
}

/** Where one of the server's messages ends and the next begins. */
export class Framing {
  /** Of a header that is not all there yet. */
  #header: number[] = []
  /** Of the message whose header was read. */
  #missing = 0

  /** Whether a message would begin with the next byte. */
  get isBetween(): boolean {
    return this.#missing === 0 && this.#header.length === 0
  }

  restart(): void {
    this.#header = []
    this.#missing = 0
  }

  /** @returns how many messages began that say that the server is ready */
  pass(bytes: Buffer): number {
    let ready = 0
    for (let at = 0; at < bytes.length;) {
      if (this.#missing > 0) {
        const passed = Math.min(this.#missing, bytes.length - at)
        this.#missing -= passed
        at += passed
      } else if (this.#header.length === 0 && at + HEADER_BYTES <= bytes.length) {
        ready += this.#begin(bytes, at)
        at += HEADER_BYTES
      } else {
        this.#header.push(bytes[at] ?? 0)
        at += 1
        if (this.#header.length < HEADER_BYTES) continue
        ready += this.#begin(Buffer.from(this.#header), 0)
        this.#header = []
      }
    }
    return ready
  }

  #begin(bytes: Buffer, at: number): 0 | 1 {
    // The length counts its own four bytes.
    this.#missing = Math.max(0, bytes.readUInt32BE(at + 1) - 4)
    return bytes[at] === READY_FOR_QUERY ? 1 : 0
  }
}
