/**
 * The marks of one PostgreSQL database, in batches, for forgetting.
 *
 * Owns: the SQL that reads, settles and deletes marks of transactions that are over.
 * Promises: every method resolves only after its own COMMIT was acknowledged; each reading makes a
 * small write of its own, so that what it saw is durable; the whole table is read once in a pass,
 * in the order of the disk and without an index of its own.
 * Never: judges whether something may be deleted; waits long for a lock.
 */
import type { Cursor, DecisionMark, MarkPage, Memory, ReceiptMark } from '../../ports/index.ts'
import { acknowledged } from './acknowledged.ts'
import { milliseconds, supersededSql, unlistSql } from './epochs.ts'
import type { Answered, Rows } from './message.ts'
import type { Register } from './register.ts'
import { existsSql } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { answered } from './service-connections.ts'
import type { ServiceConnections } from './service-connections.ts'
import type { Statement } from './wire.ts'

/** Blocks of the table of marks that one page covers: some 1,500 marks. */
const PAGE_BLOCKS = 32
/** How long forgetting waits for a row that somebody else has. */
const LOCK_TIMEOUT_MS = 1_000

export interface MemoryFacts {
  readonly app: string
  readonly name: string
  readonly names: SchemaNames
  readonly connections: ServiceConnections
  readonly register: Register
}

export class PgMemory implements Memory {
  readonly #app: string
  readonly #name: string
  readonly #names: SchemaNames
  readonly #connections: ServiceConnections
  readonly #register: Register

  constructor({ app, name, names, connections, register }: MemoryFacts) {
    this.#app = app
    this.#name = name
    this.#names = names
    this.#connections = connections
    this.#register = register
  }

  async hasMarks(): Promise<boolean> {
    // Outside of a transaction: a replica refuses one that may write.
    const text = `${existsSql(this.#names)} AND NOT pg_is_in_recovery()`
    const { rows } = await this.#connections.use((connection) => answered(connection, [{ text }]))
    return rows[0]?.[0]?.[0] === 't'
  }

  renew(afterMs: number): Promise<void> {
    return this.#register.renew(afterMs)
  }

  async superseded(forMs: number): Promise<readonly string[]> {
    const text = supersededSql(this.#names)
    const { rows } = await this.#read({ text, values: [String(forMs)] })
    return (rows[0] ?? []).map(([id]) => id ?? '')
  }

  async unlist(epochs: readonly string[]): Promise<void> {
    await this.#commit([{ text: unlistSql(this.#names), values: [arrayOf(epochs)] }])
  }

  async decisions(olderThanMs: number, from?: Cursor): Promise<MarkPage<DecisionMark>> {
    const { rows, next } = await this.#page(
      `SELECT mark.txid, mark.epoch, mark.decision, array_to_json(mark.participants)
FROM ${this.#names.mark} AS mark
WHERE mark.ctid >= $1::tid AND mark.ctid < $2::tid AND mark.marked_at < now() - ${milliseconds('$3')}
  AND mark.app = $4::text AND mark.register = $5::text AND mark.decision IN ('commit', 'settled')
  AND NOT EXISTS (SELECT FROM ${this.#names.epoch} AS epoch WHERE epoch.id = mark.epoch)`,
      olderThanMs,
      from,
    )
    const marks = rows.map(([txid, epoch, decision, participants]) => ({
      txid: txid ?? '',
      epoch: epoch ?? '',
      decision: decision === 'settled' ? ('settled' as const) : ('commit' as const),
      participants: JSON.parse(participants ?? '[]') as readonly string[],
    }))
    return { marks, next }
  }

  async receipts(olderThanMs: number, from?: Cursor): Promise<MarkPage<ReceiptMark>> {
    const { rows, next } = await this.#page(
      `SELECT mark.txid, mark.epoch, mark.register
FROM ${this.#names.mark} AS mark
WHERE mark.ctid >= $1::tid AND mark.ctid < $2::tid AND mark.marked_at < now() - ${milliseconds('$3')}
  AND mark.app = $4::text AND mark.register <> $5::text AND mark.decision = 'commit'
  AND $5::text = ANY (mark.participants)`,
      olderThanMs,
      from,
    )
    const marks = rows.map(([txid, epoch, register]) => ({
      txid: txid ?? '',
      epoch: epoch ?? '',
      register: register ?? '',
    }))
    return { marks, next }
  }

  async present(txids: readonly string[]): Promise<ReadonlySet<string>> {
    const { rows } = await this.#read({
      // A person's abort is no mark of a commit.
      text: `SELECT txid FROM ${this.#names.mark}
WHERE txid = ANY ($1::text[]) AND decision <> 'heuristic-abort'`,
      values: [arrayOf(txids)],
    })
    return new Set((rows[0] ?? []).map(([txid]) => txid ?? ''))
  }

  async applied({ txid, register, epoch }: Parameters<Memory['applied']>[0]): Promise<boolean> {
    const statement = {
      text: `SELECT FROM ${this.#names.mark} WHERE txid = $1::text AND register = $2::text
AND epoch = $3::text AND decision IN ('commit', 'settled', 'heuristic-commit')`,
      values: [txid, register, epoch],
    }
    const { rows } = await this.#connections.use((connection) => answered(connection, [statement]))
    return (rows[0] ?? []).length > 0
  }

  async settle(txids: readonly string[]): Promise<ReadonlySet<string>> {
    // Rows that are settled already are written again, so that this COMMIT vouches for them too.
    const { rows } = await this.#commit([
      {
        // What somebody has locked is left for the next pass.
        text: `UPDATE ${this.#names.mark} SET decision = 'settled' WHERE txid IN (
  SELECT txid FROM ${this.#names.mark}
  WHERE txid = ANY ($1::text[]) AND decision IN ('commit', 'settled') FOR UPDATE SKIP LOCKED
) RETURNING txid`,
        values: [arrayOf(txids)],
      },
    ])
    return new Set((rows[0] ?? []).map(([txid]) => txid ?? ''))
  }

  async forgetReceipts(register: string, txids: readonly string[]): Promise<void> {
    await this.#delete({
      text: `DELETE FROM ${this.#names.mark} WHERE txid = ANY ($1::text[])
  AND app = $2::text AND register = $3::text`,
      values: [arrayOf(txids), this.#app, register],
    })
  }

  async forgetDecisions(txids: readonly string[]): Promise<void> {
    await this.#delete({
      text: `DELETE FROM ${this.#names.mark} AS mark WHERE mark.txid = ANY ($1::text[])
  AND mark.decision = 'settled'
  AND NOT EXISTS (SELECT FROM ${this.#names.epoch} AS epoch WHERE epoch.id = mark.epoch)`,
      values: [arrayOf(txids)],
    })
  }

  /**
   * What somebody else has deleted may only be visible, and a transaction that finds nothing to
   * delete commits without waiting for anything. So it writes as a reading does, and its COMMIT
   * vouches for what is gone. Behind the DELETE, which may wait: nobody else then waits with it.
   */
  async #delete(statement: Statement): Promise<void> {
    await this.#commit([statement, this.#ownWrite()])
  }

  /** A stretch of blocks, and where the next one begins. The table may move under it: no harm. */
  async #page(
    text: string,
    olderThanMs: number,
    from: Cursor | undefined,
  ): Promise<{ rows: Rows; next: Cursor | undefined }> {
    const first = Number(from ?? 0)
    const end = first + PAGE_BLOCKS
    const values = [`(${first},0)`, `(${end},0)`, String(olderThanMs), this.#app, this.#name]
    const { mark } = this.#names
    const blocks = `SELECT pg_relation_size('${mark.replaceAll("'", "''")}')
  / current_setting('block_size')::bigint`
    const { rows } = await this.#read({ text, values }, { text: blocks })
    const isLast = end >= Number(rows[1]?.[0]?.[0] ?? 0)
    return { rows: rows[0] ?? [], next: isLast ? undefined : String(end) }
  }

  /** Reads durably: with a small write, whose COMMIT comes after what was seen in the log. */
  async #read(...statements: readonly Statement[]): Promise<Answered> {
    return without(1, await this.#commit([this.#ownWrite(), ...statements]))
  }

  #ownWrite(): Statement {
    return { text: `UPDATE ${this.#names.database} SET reads = reads + 1` }
  }

  async #commit(statements: readonly Statement[]): Promise<Answered> {
    const patience = { text: `SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}` }
    const reply = await this.#connections.use((connection) =>
      acknowledged(connection, [patience, ...statements]),
    )
    return without(2, reply)
  }
}

/** A reply without the answers of its first statements, which were ours. */
function without(count: number, reply: Answered): Answered {
  return { ...reply, tags: reply.tags.slice(count), rows: reply.rows.slice(count) }
}

/** Of ids and epochs, whose alphabet needs no quoting in an array's text. */
function arrayOf(ids: readonly string[]): string {
  return `{${ids.map((id) => `"${id}"`).join(',')}}`
}
