/**
 * One MySQL or MariaDB server as a register: asking its marks, and the epochs that it remembers.
 *
 * Owns: *Ask*, the look-up of a bare txid, and this process's cached epoch.
 * Promises: `found` is only said after the asker's own COMMIT was acknowledged; `absent` only while the
 * asker's own row held the key; an epoch is only used once it was read so. InnoDB shows a commit before
 * its log is flushed: what is only seen is never obeyed.
 * Never: takes a lock time-out for anything but "somebody has this key".
 */
import { EPOCH_BYTES, isDecision, meaningOf } from '../../protocol/index.ts'
import type { AskAnswer } from '../../protocol/index.ts'
import type { Question, World } from '../../ports/index.ts'
import { isListed, takeKey, unknown } from './asking.ts'
import { NO_TABLES, quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'

/** What a replica that is promoted here is known to have: everything that was acknowledged, or not. */
export type Failover = 'lossless' | 'lossy'

/** How long an epoch is used before it is read again, at the most; see also `EPOCH_READS`. */
const EPOCH_READ_MS = 60_000
/** How often an epoch is read within one retention, at the least. */
const EPOCH_READS = 20

export interface RegisterFacts {
  readonly names: SchemaNames
  readonly connections: ServiceConnections
  readonly world: World
  readonly failover: Failover
  readonly retentionMs: number
  /** SQL that says which server this is. @throws when it can't be told */
  readonly present: () => Promise<string>
}

export class Register {
  readonly #facts: RegisterFacts
  readonly #epochReadMs: number
  #epoch: { readonly id: string; readonly readAt: number } | undefined
  #reading: Promise<string> | undefined

  constructor(facts: RegisterFacts) {
    this.#facts = facts
    this.#epochReadMs = Math.min(EPOCH_READ_MS, facts.retentionMs / EPOCH_READS)
  }

  /** *Ask* (design): wait, take the key, or read what has it. Never rejects. */
  async ask(question: Question): Promise<AskAnswer> {
    try {
      const present = await this.#facts.present()
      return await this.#facts.connections.use((connection) =>
        this.#ask(connection, question, present),
      )
    } catch (cause) {
      return { answer: 'unknown', cause }
    }
  }

  async #ask(
    connection: ServiceConnection,
    question: Question,
    present: string,
  ): Promise<AskAnswer> {
    const { names, failover } = this.#facts
    const taken = await takeKey(connection, names, question, 'abort')
    if (taken.key === 'not had') return taken.answer
    if (taken.key === 'held') return this.#obey(connection, taken.decision)
    const listed = await isListed(connection, names, question.epoch, failover, present)
    // An abort needs no stored row: the owner's claim died with its transaction.
    await connection.rollBack()
    if (listed.kind === 'not said') return { answer: 'unknown', cause: listed.cause }
    await this.#makeDurable(connection)
    return { answer: 'absent', memory: listed.kind === 'listed' ? 'remembered' : 'forgotten' }
  }

  /**
   * That the row is absent may itself only be seen:
   *
   *   1. the decider's server prepares its branch, durably, and can't write its binary log
   *   2. it rolls the branch back, in memory: the claim is gone, and is found absent here
   *   3. the voters are rolled back; the server is killed, before anything of 2 is flushed
   *   4. the branch is prepared again, and a decider that is found prepared is committed
   *
   * So an absence counts once something that was written after it is durable.
   */
  async #makeDurable(connection: ServiceConnection): Promise<void> {
    await connection.acknowledged(() => connection.rows(ownWriteSql(this.#facts.names)))
  }

  /** Our UPDATE of the row comes after it in both logs, so when our COMMIT is durable, it is. */
  async #obey(connection: ServiceConnection, decision: string): Promise<AskAnswer> {
    const reply = await connection.commit()
    if (reply.kind !== 'answered' || reply.warnings > 0) return unknown(reply)
    return isDecision(decision) ? { answer: 'found', decision } : unknown(reply)
  }

  /** Looks for a decision without knowing the register. Never rejects, never inserts. */
  async lookUp(txid: string): Promise<'committed' | 'not-found' | 'unclear'> {
    const { names, connections } = this.#facts
    const where = `FROM ${names.mark} WHERE txid = ${quote(txid)}`
    try {
      return await connections.use(async (connection) => {
        // Seen first: an UPDATE would wait for a claim that is not committed.
        const seen = await connection.send(`SELECT decision ${where}`)
        if (seen.kind === 'refused' && NO_TABLES.includes(seen.error.errno)) return 'not-found'
        if (seen.kind !== 'answered') return 'unclear'
        if (seen.rows.length === 0) return 'not-found'
        const [decision] = await connection.acknowledged(async () => {
          await connection.rows(
            `UPDATE ${names.mark} SET asked = asked + 1 WHERE txid = ${quote(txid)}`,
          )
          const rows = await connection.rows(`SELECT decision ${where}`)
          return rows[0] ?? []
        })
        const isCommitted = isDecision(decision) && meaningOf(decision) === 'commit'
        return isCommitted ? 'committed' : 'not-found'
      })
    } catch {
      return 'unclear'
    }
  }

  /**
   * Removes a claim that nobody will decide by, and nothing that a person decided. Tried once: what is
   * left is seen by the witness. Never rejects. @returns whether it is surely gone
   */
  async withdraw(txid: string): Promise<void> {
    const { names, connections } = this.#facts
    try {
      await connections.use((connection) =>
        connection.acknowledged(() =>
          connection.rows(
            `DELETE FROM ${names.mark} WHERE txid = ${quote(txid)} AND decision = 'commit'`,
          ),
        ),
      )
    } catch {
      // It was not reached, or would not: the caller is told "unknown" where that matters.
    }
  }

  /**
   * The epoch that new transactions decided here name. Read durably, cached for a while, opened when
   * there is none, or when the newest is of another server.
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
    const isFresh =
      cached !== undefined && this.#facts.world.now() - cached.readAt < this.#epochReadMs
    return isFresh ? cached.id : undefined
  }

  forgetEpoch(): void {
    this.#epoch = undefined
  }

  /** Opens a new epoch if the newest is older than this. @throws as `currentEpoch` */
  async renew(afterMs: number): Promise<void> {
    const { names, connections } = this.#facts
    const present = await this.#facts.present()
    await connections.use(async (connection) => {
      // One that was opened in the future, by a clock that was wrong, does not count.
      const young = await connection.rows(
        `SELECT 1 FROM ${names.epoch} WHERE opened_at > NOW(3) - ${milliseconds(afterMs)}
  AND opened_at <= NOW(3) LIMIT 1`,
      )
      if (young.length === 0) await this.#openEpoch(connection, present)
    })
    this.forgetEpoch()
  }

  async #readEpoch(): Promise<string> {
    const { names, connections, world } = this.#facts
    const present = await this.#facts.present()
    const id = await connections.use(async (connection) => {
      const [newest, isPresent] = await connection.acknowledged(async () => {
        await connection.rows(ownWriteSql(names))
        const rows = await connection.rows(
          `SELECT id, server = ${present} FROM ${names.epoch} ORDER BY ordinal DESC LIMIT 1`,
        )
        return rows[0] ?? []
      })
      if (newest != null && isPresent === '1') return newest
      // None, or of another server: a promoted replica, a recovered backup, a copy.
      return this.#openEpoch(connection, present)
    })
    this.#epoch = { id, readAt: world.now() }
    return id
  }

  /** What is not remembered here goes, in the same transaction. */
  async #openEpoch(connection: ServiceConnection, present: string): Promise<string> {
    const { names, failover, world } = this.#facts
    const opened = Buffer.from(world.randomBytes(EPOCH_BYTES)).toString('base64url')
    await connection.acknowledged(async () => {
      if (failover === 'lossy') {
        // Who waits for a claim's lock on one of them makes every other claim wait behind him.
        const others = await connection.rows(
          `SELECT id FROM ${names.epoch} WHERE server <> ${present}`,
        )
        for (const [id] of others) await unlistOne(connection, names, id ?? '')
      }
      await connection.rows(
        `INSERT INTO ${names.epoch} (id, server) VALUES (${quote(opened)}, ${present})`,
      )
    })
    return opened
  }
}

/** What makes a reading durable: a write of its own, whose COMMIT comes after what was seen. */
export function ownWriteSql(names: SchemaNames): string {
  return `UPDATE ${names.server} SET readings = readings + 1`
}

export function milliseconds(ms: number): string {
  return `INTERVAL ${Math.round(ms * 1_000)} MICROSECOND`
}

/**
 * One at a time, by its key: whatever else the server may choose to read by it would lock, and a
 * claim that is not decided has locked the present one.
 */
export async function unlistOne(
  connection: ServiceConnection,
  names: SchemaNames,
  id: string,
  below = Infinity,
): Promise<void> {
  const one = `FROM ${names.epoch} WHERE id = ${quote(id)}`
  const [row] = await connection.rows(`SELECT ordinal ${one} FOR UPDATE NOWAIT`)
  if (row !== undefined && Number(row[0]) < below) await connection.rows(`DELETE ${one}`)
}
