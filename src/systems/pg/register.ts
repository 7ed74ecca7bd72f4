/**
 * One PostgreSQL database as a register: asking its marks, and the epochs that it remembers.
 *
 * Owns: *Ask*, the look-up of a bare txid, and this process's cached epoch.
 * Promises: `found` is only said after the asker's own COMMIT was acknowledged without a warning;
 * `absent` only while the asker's own row held the key; an epoch is only used once it was read so.
 * Never: takes a lock time-out for anything but "somebody has this key".
 */
import { EPOCH_BYTES } from '../../protocol/index.ts'
import type { AskAnswer } from '../../protocol/index.ts'
import type { Question, World } from '../../ports/index.ts'
import { sameTags, surprise } from './answers.ts'
import { ASKED_TAGS, askStatements, lookUpStatements, memoryStatements } from './mark.ts'
import type { Reply } from './message.ts'
import { openEpochSql, readEpochSql } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { NoConnection } from './service-connections.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'

/** How long *Ask* waits for a key that somebody has. Short: it is asked again. */
const ASK_LOCK_TIMEOUT_MS = 100
/** How long an epoch is used before it is read again; far shorter than any retention. */
export const EPOCH_READ_MS = 60_000

type Answered = Extract<Reply, { kind: 'answered' }>

export class Register {
  readonly #names: SchemaNames
  readonly #connections: ServiceConnections
  readonly #world: World
  #epoch: { readonly id: string; readonly readAt: number } | undefined
  #reading: Promise<string> | undefined

  constructor(names: SchemaNames, connections: ServiceConnections, world: World) {
    this.#names = names
    this.#connections = connections
    this.#world = world
  }

  /** *Ask* (design): wait, take the key, or read what has it. Never rejects. */
  async ask(question: Question): Promise<AskAnswer> {
    return this.#lend((connection) => this.#ask(connection, question))
  }

  async #ask(connection: ServiceConnection, question: Question): Promise<AskAnswer> {
    const first = await connection.send(askStatements(this.#names, question, ASK_LOCK_TIMEOUT_MS))
    if (first.kind === 'lost') return unknown(first.cause)
    if (first.error !== undefined) {
      // 55P03 is the lock time-out: a transaction that is open, or prepared, has the key.
      const waits = first.error.code === '55P03'
      await connection.send([{ text: 'ROLLBACK' }])
      return waits ? { answer: 'waits' } : unknown(first.error)
    }
    const [decision, asked] = first.rows[2]?.[0] ?? []
    if (!sameTags(first.tags, ASKED_TAGS) || asked == null) return unknown(surprise(first))
    if (asked === '0') return this.#readMemory(connection, question)
    return this.#obey(connection, decision)
  }

  /** The key was free, and our uncommitted row has it: nobody can commit under it meanwhile. */
  async #readMemory(connection: ServiceConnection, question: Question): Promise<AskAnswer> {
    const reply = await connection.send(memoryStatements(this.#names, question.epoch))
    if (reply.kind === 'lost') return unknown(reply.cause)
    const listed = reply.rows[0]?.[0]?.[0]
    if (reply.error !== undefined || !sameTags(reply.tags, ['SELECT 1', 'ROLLBACK'])) {
      return unknown(reply.error ?? surprise(reply))
    }
    return { answer: 'absent', memory: listed === 't' ? 'remembered' : 'forgotten' }
  }

  /**
   * Seen is not durable: a commit whose wait for replication was cut off is visible. Our UPDATE of
   * the row comes after it in the log, so when our COMMIT is durable, it is.
   */
  async #obey(
    connection: ServiceConnection,
    decision: string | null | undefined,
  ): Promise<AskAnswer> {
    const reply = await connection.send([{ text: 'COMMIT' }])
    if (reply.kind === 'lost') return unknown(reply.cause)
    const isDurable = reply.error === undefined && sameTags(reply.tags, ['COMMIT'])
    if (!isDurable || reply.warnings.length > 0) return unknown(reply.error ?? surprise(reply))
    if (decision !== 'commit' && decision !== 'abort') return unknown(surprise(reply))
    return { answer: 'found', decision }
  }

  /** Looks for a decision without knowing the register. Never rejects, never inserts. */
  async lookUp(txid: string): Promise<'committed' | 'not-found' | 'unclear'> {
    const statements = lookUpStatements(this.#names, txid, ASK_LOCK_TIMEOUT_MS)
    try {
      return await this.#connections.use(async (connection) => {
        const reply = await connection.send(statements)
        if (reply.kind === 'lost') return 'unclear'
        // No such table: this database has never been marked.
        if (reply.error?.code === '42P01' || reply.error?.code === '3F000') return 'not-found'
        if (reply.error !== undefined || reply.warnings.length > 0) return 'unclear'
        const isDurable = reply.tags.at(-1) === 'COMMIT' && reply.status === 'I'
        if (!isDurable) return 'unclear'
        return reply.rows[2]?.[0]?.[0] === 'commit' ? 'committed' : 'not-found'
      })
    } catch (error) {
      if (error instanceof NoConnection) return 'unclear'
      throw error
    }
  }

  /**
   * The epoch that new transactions decided here name. Read durably, cached for `EPOCH_READ_MS`,
   * opened when there is none, or when the newest is of another server.
   *
   * @throws NoConnection, or an Error that says what was answered instead
   */
  async currentEpoch(): Promise<string> {
    const cached = this.#epoch
    if (cached !== undefined && this.#world.now() - cached.readAt < EPOCH_READ_MS) return cached.id
    this.#reading ??= this.#readEpoch().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  forgetEpoch(): void {
    this.#epoch = undefined
  }

  async #readEpoch(): Promise<string> {
    const id = await this.#connections.use(async (connection) => {
      const read = await commit(connection, [{ text: readEpochSql(this.#names) }])
      const [newest, isPresent] = read.rows[1]?.[0] ?? []
      if (newest != null && isPresent === 'true') return newest
      // None, or of another server: a promoted replica, a recovered backup, a copy.
      const opened = Buffer.from(this.#world.randomBytes(EPOCH_BYTES)).toString('base64url')
      const statements = openEpochSql(this.#names)
      await commit(
        connection,
        statements.map((text, index) =>
          index === statements.length - 1 ? { text, values: [opened] } : { text },
        ),
      )
      return opened
    })
    this.#epoch = { id, readAt: this.#world.now() }
    return id
  }

  async #lend(use: (connection: ServiceConnection) => Promise<AskAnswer>): Promise<AskAnswer> {
    try {
      return await this.#connections.use(use)
    } catch (error) {
      if (error instanceof NoConnection) return unknown(error)
      throw error
    }
  }
}

/** Runs statements in one committed transaction; only an acknowledged COMMIT counts. */
async function commit(
  connection: ServiceConnection,
  statements: readonly { text: string; values?: readonly string[] }[],
): Promise<Answered> {
  const begin = { text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' }
  const reply = await connection.send([begin, ...statements, { text: 'COMMIT' }])
  if (reply.kind === 'lost') throw new Error('the answer was lost', { cause: reply.cause })
  if (reply.error !== undefined) {
    if (reply.status !== 'I') await connection.send([{ text: 'ROLLBACK' }])
    throw reply.error
  }
  const isDurable = reply.tags.at(-1) === 'COMMIT' && reply.warnings.length === 0
  if (!isDurable) throw surprise(reply)
  return reply
}

function unknown(cause: unknown): AskAnswer {
  return { answer: 'unknown', cause }
}
