/**
 * One PostgreSQL database as a register: asking its marks, and the epochs that it remembers.
 *
 * Owns: *Ask*, the look-up of a bare txid, and this process's cached epoch.
 * Promises: `found` is only said after the asker's own COMMIT was acknowledged without a warning;
 * `absent` only while the asker's own row held the key; an epoch is only used once it was read so.
 * Never: takes a lock time-out for anything but "somebody has this key".
 */
import { EPOCH_BYTES, isDecision, meaningOf } from '../../protocol/index.ts'
import type { AskAnswer } from '../../protocol/index.ts'
import type { Question, World } from '../../ports/index.ts'
import { sameTags, surprise } from './answers.ts'
import {
  ASKED_TAGS,
  askStatements,
  lookUpStatements,
  memoryStatements,
  withdrawStatement,
} from './asking.ts'
import { acknowledged } from './acknowledged.ts'
import { isYoungSql, openEpochSql, readEpochSql } from './epochs.ts'
import type { Failover } from './epochs.ts'
import type { SchemaNames } from './schema.ts'
import { NoConnection } from '../common/slots.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'

/** How long *Ask* waits for a key that somebody has. Short: it is asked again. */
const ASK_LOCK_TIMEOUT_MS = 100
/** How long an epoch is used before it is read again, at the most; see also `EPOCH_READS`. */
export const EPOCH_READ_MS = 60_000
/** How often an epoch is read within one retention, at the least. */
const EPOCH_READS = 20

/** Deferrable constraints and constraint triggers: COMMIT may have them to run. */
const HAS_DEFERRED = 'SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgdeferrable)'

export interface RegisterFacts {
  readonly names: SchemaNames
  readonly connections: ServiceConnections
  readonly world: World
  readonly failover: Failover
  readonly retentionMs: number
}

export class Register {
  readonly #names: SchemaNames
  readonly #connections: ServiceConnections
  readonly #world: World
  readonly #failover: Failover
  readonly #epochReadMs: number
  #epoch: { readonly id: string; readonly readAt: number } | undefined
  #hasDeferred = true
  #reading: Promise<string> | undefined

  constructor({ names, connections, world, failover, retentionMs }: RegisterFacts) {
    this.#names = names
    this.#connections = connections
    this.#world = world
    this.#failover = failover
    this.#epochReadMs = Math.min(EPOCH_READ_MS, retentionMs / EPOCH_READS)
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
    const reply = await connection.send(
      memoryStatements(this.#names, question.epoch, this.#failover),
    )
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
    return isDecision(decision) ? { answer: 'found', decision } : unknown(surprise(reply))
  }

  /** Looks for a decision without knowing the register. Never rejects, never inserts. */
  async lookUp(txid: string): Promise<'committed' | 'not-found' | 'unclear'> {
    const statements = lookUpStatements(this.#names, txid, ASK_LOCK_TIMEOUT_MS)
    try {
      return await this.#connections.use(async (connection) => {
        const reply = await connection.send(statements)
        if (reply.kind === 'lost') return 'unclear'
        // No such table: this database has never been marked. 25006: a replica, which decides nothing.
        if (['42P01', '3F000', '25006'].includes(reply.error?.code ?? '')) return 'not-found'
        if (reply.error !== undefined || reply.warnings.length > 0) return 'unclear'
        const isDurable = reply.tags.at(-1) === 'COMMIT' && reply.status === 'I'
        if (!isDurable) return 'unclear'
        const [decision] = reply.rows[2]?.[0] ?? []
        const isCommitted = isDecision(decision) && meaningOf(decision) === 'commit'
        return isCommitted ? 'committed' : 'not-found'
      })
    } catch (error) {
      if (error instanceof NoConnection) return 'unclear'
      throw error
    }
  }

  /** Removes a claim that nobody will decide by. Tried once: what is left is seen by the witness. */
  async withdraw(txid: string): Promise<void> {
    const statement = withdrawStatement(this.#names, txid)
    try {
      await this.#connections.use((connection) => acknowledged(connection, [statement]))
    } catch {
      // The register was not reached, or would not: the caller is told "unknown" as it is.
    }
  }

  /**
   * The epoch that new transactions decided here name. Read durably, cached for a while,
   * opened when there is none, or when the newest is of another server.
   *
   * @throws NoConnection, or an Error that says what was answered instead
   */
  async currentEpoch(): Promise<string> {
    const known = this.knownEpoch
    if (known !== undefined) return known
    this.#reading ??= this.#readEpoch().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** The epoch, if it was read a short while ago. */
  get knownEpoch(): string | undefined {
    const cached = this.#epoch
    const isFresh = cached !== undefined && this.#world.now() - cached.readAt < this.#epochReadMs
    return isFresh ? cached.id : undefined
  }

  /** Whether a COMMIT here may have something deferred to run, as of the last reading. */
  get hasDeferred(): boolean {
    return this.#hasDeferred
  }

  forgetEpoch(): void {
    this.#epoch = undefined
  }

  /** Opens a new epoch if the newest is older than this. @throws as `currentEpoch` */
  async renew(afterMs: number): Promise<void> {
    await this.#connections.use(async (connection) => {
      const young = { text: isYoungSql(this.#names), values: [String(afterMs)] }
      const read = await acknowledged(connection, [young])
      if (read.rows[1]?.[0]?.[0] !== 't') await this.#openEpoch(connection)
    })
    this.forgetEpoch()
  }

  async #readEpoch(): Promise<string> {
    const id = await this.#connections.use(async (connection) => {
      const read = await acknowledged(connection, [
        { text: readEpochSql(this.#names) },
        { text: HAS_DEFERRED },
      ])
      const [newest, isPresent] = read.rows[1]?.[0] ?? []
      this.#hasDeferred = read.rows[2]?.[0]?.[0] !== 'f'
      if (newest != null && isPresent === 'true') return newest
      // None, or of another server: a promoted replica, a recovered backup, a copy.
      return this.#openEpoch(connection)
    })
    this.#epoch = { id, readAt: this.#world.now() }
    return id
  }

  async #openEpoch(connection: ServiceConnection): Promise<string> {
    const opened = Buffer.from(this.#world.randomBytes(EPOCH_BYTES)).toString('base64url')
    const statements = openEpochSql(this.#names, this.#failover)
    const last = statements.length - 1
    await acknowledged(
      connection,
      statements.map((text, at) => (at === last ? { text, values: [opened] } : { text })),
    )
    return opened
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

function unknown(cause: unknown): AskAnswer {
  return { answer: 'unknown', cause }
}
