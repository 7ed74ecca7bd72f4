/**
 * One physical connection as Assent uses it.
 *
 * Owns: listening to it, and the statements that it has parsed under a name.
 * Promises: whoever listens hears of an answer before node-postgres acts on it, so that the status is
 * the one of that answer and not of a message that was sent right behind it; a name is only used
 * when its statement was parsed for certain.
 *
 * The listeners stay on a pooled connection for its life. They also hear what its other users do:
 * that is how a DISCARD ALL is noticed.
 */
import { createHash } from 'node:crypto'
import type { Notice, PgConnection, ServerError } from './driver.ts'
import { FrontendMessage } from './frontend.ts'
import { Intake, answerBytes } from './intake.ts'
import type { KnownAnswer } from './intake.ts'
import { NamedEndings } from './named-endings.ts'

export interface Statement {
  readonly text: string
  /** Bound as text; `null` is SQL's null. */
  readonly values?: readonly (string | null)[]
  /** Worth parsing once for each connection: its text is the same again and again. */
  readonly again?: true
  /**
   * One message binds the statement, a later one executes it, by the portal's name: PostgreSQL drops a
   * portal with the transaction that it was bound in. Without one, a statement is bound and executed.
   */
  readonly portal?: { readonly name: string; readonly step: 'bind' | 'execute' }
  /** What it is answered with if it succeeds, in full; only of one that returns no rows. */
  readonly tag?: string
}

/** Whether it is answered with a tag: a statement that is only bound is not. */
export function hasTag({ portal }: Statement): boolean {
  return portal?.step !== 'bind'
}

export function tagCount(statements: readonly Statement[]): number {
  let count = 0
  for (const statement of statements) if (hasTag(statement)) count += 1
  return count
}

export interface WireListener {
  /** Each tag, whether the driver has read it or it was recognised. */
  onTag?(tag: string): void
  onReady?(status: string): void
  onError?(error: ServerError): void
  onNotice?(notice: Notice): void
  /**
   * For whoever has sent them: the first statements of a message of ours have succeeded, each with its
   * tag, and the driver will not say so.
   */
  onRecognised?(tags: readonly string[]): void
  /** A setting that the server reports has changed; it says so before it is ready. */
  onSetting?(name: string, value: string): void
  onEnd?(): void
}

/** The name of a statement, and whether the server has it for certain. */
interface Name {
  readonly text: string
  state: 'parsed' | 'doubtful'
}

/** The bytes of a list of statements, once nothing of it is to be parsed any more. */
interface Kept {
  readonly statements: Buffer
  /** With a Sync behind them. */
  readonly message: Buffer
  readonly answer: KnownAnswer | undefined
}

const NO_VALUES: readonly string[] = []
/** Statements that a connection keeps under a name, at the most. */
const MOST_NAMES = 64
/** Bytes of a user's statement that are copied, to leave in one piece with ours. */
const MOST_GATHERED = 16_384
/** After these, what was parsed may be gone. */
const FORGETTING_TAGS = new Set(['DISCARD ALL', 'DEALLOCATE', 'DEALLOCATE ALL'])
/** After these, settings of the session may be gone. */
const RESETTING_TAGS = new Set(['DISCARD ALL', 'RESET'])
/** After these, something may be set: by a text, too, that the server reads differently than we do. */
export const SETTING_TAGS = new Set(['SET', 'RESET', 'DISCARD ALL', 'DO', 'CALL'])
const [LETTER_D, LETTER_R] = [0x44, 0x52]

const wires = new WeakMap<PgConnection, Wire>()
const writer = new FrontendMessage()

export class Wire {
  /** As of the last ReadyForQuery: `I` outside a transaction; `?` when none was heard yet. */
  status: string = '?'
  /** Behind a pooler, the next message may reach a server process that never saw the name. */
  naming: 'allowed' | 'never' = 'never'
  /** Whether what was set for the life of the session is still set. */
  settings: 'kept' | 'reset' = 'kept'
  /** Whether somebody may have set something in this session, since its settings were read. */
  sets: 'none' | 'maybe' = 'none'
  readonly endings: NamedEndings
  readonly #connection: PgConnection
  /** With places that are free again: faster than a set, which each message would use twice. */
  readonly #listeners: (WireListener | undefined)[] = []
  #kept = new WeakMap<readonly Statement[], Kept>()
  #doubts = 0
  /** By the text of the statement. */
  readonly #names = new Map<string, Name>()
  readonly #intake: Intake | undefined

  static of(connection: PgConnection): Wire {
    const known = wires.get(connection)
    if (known !== undefined) return known
    const wire = new Wire(connection)
    wires.set(connection, wire)
    return wire
  }

  private constructor(connection: PgConnection) {
    this.#connection = connection
    this.endings = NamedEndings.of(connection)
    this.#intake = Intake.of(connection, (tags) => {
      for (const tag of tags) this.#tellTag(tag)
      for (const listener of this.#listeners) listener?.onRecognised?.(tags)
    })
    connection.prependListener('readyForQuery', ({ status }) => {
      this.status = status
      this.#intake?.onReady()
      for (const listener of this.#listeners) listener?.onReady?.(status)
    })
    connection.prependListener('commandComplete', ({ text }) => {
      // By the first letter, which rules out nearly all.
      const first = text.charCodeAt(0)
      if (first === LETTER_D && FORGETTING_TAGS.has(text)) this.#doubtNames()
      if ((first === LETTER_D || first === LETTER_R) && RESETTING_TAGS.has(text)) {
        this.settings = 'reset'
      }
      // While Assent uses it, its guard looks.
      if (SETTING_TAGS.has(text) && this.#isUnheard()) this.sets = 'maybe'
      this.#tellTag(text)
    })
    connection.prependListener('errorMessage', (error: ServerError) => {
      // 26000: no such prepared statement.
      if (error.code === '26000') this.#doubtNames()
      for (const listener of this.#listeners) listener?.onError?.(error)
    })
    connection.prependListener('notice', (notice) => {
      for (const listener of this.#listeners) listener?.onNotice?.(notice)
    })
    connection.prependListener('parameterStatus', ({ parameterName, parameterValue }) => {
      for (const listener of this.#listeners) {
        listener?.onSetting?.(parameterName, parameterValue)
      }
    })
    connection.prependListener('end', () => {
      for (const listener of this.#listeners) listener?.onEnd?.()
    })
  }

  #isUnheard(): boolean {
    return this.#listeners.every((listener) => listener === undefined)
  }

  #tellTag(tag: string): void {
    for (const listener of this.#listeners) listener?.onTag?.(tag)
  }

  /** Until `unlisten`. There are never more than a few. */
  listen(listener: WireListener): void {
    const free = this.#listeners.indexOf(undefined)
    if (free === -1) this.#listeners.push(listener)
    else this.#listeners[free] = listener
  }

  /** From now on nothing is told, not even of what is being told to others. */
  unlisten(listener: WireListener): void {
    const at = this.#listeners.indexOf(listener)
    if (at !== -1) this.#listeners[at] = undefined
  }

  /**
   * Writes a message, in one piece. `fixed` is what it begins with: a list that comes again and again,
   * whose bytes are kept.
   */
  write(fixed: readonly Statement[], own: readonly Statement[]): Parsing | undefined {
    const kept = this.#kept.get(fixed)
    this.#intake?.expect(kept?.answer)
    if (kept !== undefined && own.length === 0) {
      this.#connection.stream.write(kept.message)
      return undefined
    }
    writer.reset()
    let parsing: Parsing | undefined
    if (fixed.length === 0 && isSimple(own)) writer.query(own[0].text)
    else {
      parsing = this.#encodeFixed(fixed, kept)
      parsing = this.#encodeAll(own, tagCount(fixed), parsing)
      writer.sync()
    }
    this.#connection.stream.write(writer.take())
    return parsing
  }

  /**
   * Writes a message that a query of the driver's ends, with its Sync, in one piece unless that is
   * large. `query` has the driver write that one.
   */
  writeWith(
    fixed: readonly Statement[],
    own: Statement | undefined,
    query: () => void,
  ): Parsing | undefined {
    // First: it may run code of the user's, which could have something written elsewhere meanwhile.
    const pieces = this.#gather(query)
    const kept = this.#kept.get(fixed)
    this.#intake?.expect(kept?.answer)
    writer.reset()
    let parsing = this.#encodeFixed(fixed, kept)
    if (own !== undefined) parsing = this.#encode(own, tagCount(fixed), parsing)
    const isSmall = pieces.reduce((sum, piece) => sum + piece.length, 0) <= MOST_GATHERED
    if (isSmall) for (const piece of pieces) writer.again(piece)
    this.#connection.stream.write(writer.take())
    if (!isSmall) for (const piece of pieces) this.#connection.stream.write(piece)
    return parsing
  }

  /**
   * What the driver writes: each part of a message by itself. Each would cost the stream as much as
   * encoding it does.
   */
  #gather(query: () => void): readonly Uint8Array[] {
    const connection = this.#connection
    const { stream } = connection
    const gathered = new Gathered(stream)
    try {
      connection.stream = gathered
      query()
    } finally {
      connection.stream = stream
    }
    return gathered.pieces
  }

  #encodeFixed(fixed: readonly Statement[], kept: Kept | undefined): Parsing | undefined {
    if (kept !== undefined) {
      writer.again(kept.statements)
      return undefined
    }
    const parsing = this.#encodeAll(fixed, 0, undefined)
    // As long as something of it is to be parsed, the next time will be another message.
    const isSettled = parsing === undefined && this.naming === 'allowed' && fixed.length > 0
    if (isSettled && fixed.every(({ again, values }) => again === true && values === undefined)) {
      const statements = writer.copy()
      const at = writer.length
      writer.sync()
      this.#kept.set(fixed, { statements, message: writer.copy(), answer: answerTo(fixed) })
      writer.reset(at)
    }
    return parsing
  }

  #encodeAll(
    statements: readonly Statement[],
    tagsBefore: number,
    before: Parsing | undefined,
  ): Parsing | undefined {
    let parsing = before
    let tags = tagsBefore
    for (const statement of statements) {
      parsing = this.#encode(statement, tags, parsing)
      if (hasTag(statement)) tags += 1
    }
    return parsing
  }

  /**
   * `at`: how many tags come before this statement's own, or the next one's if it has none.
   *
   * @returns the names that were parsed so far, with the one of this statement if it was
   */
  #encode(statement: Statement, at: number, before: Parsing | undefined): Parsing | undefined {
    const { portal } = statement
    if (portal?.step === 'execute') {
      writer.execute(portal.name)
      return before
    }
    const name = this.#nameOf(statement)
    let parsing = before
    if (name === undefined) {
      writer.parse('', statement.text)
    } else if (name.state === 'doubtful') {
      // Closing a name that does not exist is no error; parsing one that does exist is.
      writer.close(name.text)
      writer.parse(name.text, statement.text)
      parsing ??= new Parsing(() => this.#doubts)
      parsing.add(at, name)
    }
    writer.bind(name?.text ?? '', statement.values ?? NO_VALUES, portal?.name)
    if (portal === undefined) writer.execute()
    return parsing
  }

  #nameOf({ text, again }: Statement): Name | undefined {
    if (this.naming === 'never' || again !== true) return undefined
    const known = this.#names.get(text)
    if (known !== undefined || this.#names.size >= MOST_NAMES) return known
    const entry: Name = { text: nameFor(text), state: 'doubtful' }
    this.#names.set(text, entry)
    return entry
  }

  /** Nothing that is under way may call a name good again. */
  #doubtNames(): void {
    this.#doubts += 1
    this.#kept = new WeakMap()
    for (const entry of this.#names.values()) entry.state = 'doubtful'
  }
}

/** Stands in for a stream while the driver writes one message. */
class Gathered {
  readonly writable = true
  readonly pieces: Uint8Array[] = []
  readonly #stream: PgConnection['stream']

  constructor(stream: PgConnection['stream']) {
    this.#stream = stream
  }

  write(bytes: Uint8Array): true {
    this.pieces.push(bytes)
    return true
  }

  get destroyed(): boolean {
    return this.#stream.destroyed === true
  }

  destroy(): void {
    this.#stream.destroy()
  }
}

/** What the first of them are answered with, each once it was parsed; up to one that isn't known. */
function answerTo(statements: readonly Statement[]): KnownAnswer | undefined {
  const bytes: Buffer[] = []
  const tags: string[] = []
  for (const { portal, tag } of statements) {
    if (tag === undefined) break
    bytes.push(answerBytes(portal?.step ?? 'both', tag))
    if (portal?.step !== 'bind') tags.push(tag)
  }
  return tags.length === 0 ? undefined : { bytes: Buffer.concat(bytes), tags }
}

/** One statement that is parsed for this once costs least by the simple protocol. */
function isSimple(statements: readonly Statement[]): statements is readonly [Statement] {
  const [only] = statements
  if (statements.length !== 1 || only === undefined) return false
  return only.again !== true && only.values === undefined && only.portal === undefined
}

/** The names that one message has parsed, each known to be good once its statement completed. */
export class Parsing {
  readonly #names: (readonly [number, Name])[] = []
  readonly #doubts: () => number
  readonly #doubtsBefore: number

  constructor(doubts: () => number) {
    this.#doubts = doubts
    this.#doubtsBefore = doubts()
  }

  add(at: number, name: Name): void {
    this.#names.push([at, name])
  }

  /** So many statements of the message have completed. */
  completed(count: number): void {
    // A DEALLOCATE in the same message may have come after what was parsed.
    if (this.#doubts() !== this.#doubtsBefore) return
    for (const [at, name] of this.#names) if (at < count) name.state = 'parsed'
  }
}

const names = new Map<string, string>()
const MOST_TEXTS = 1_000

/**
 * Made of the text, so that a name can only ever mean one statement: another copy of this module (two
 * installed versions, a bundle that was loaded anew) may use the same connections.
 */
function nameFor(text: string): string {
  const known = names.get(text)
  if (known !== undefined) return known
  if (names.size >= MOST_TEXTS) names.clear()
  const name = `assent_${createHash('sha256').update(text).digest('base64url').slice(0, 22)}`
  names.set(text, name)
  return name
}
