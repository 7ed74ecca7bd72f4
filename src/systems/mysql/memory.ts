/**
 * The marks of one MySQL or MariaDB server, in batches, for forgetting.
 *
 * Owns: the SQL that reads, settles and deletes marks of transactions that are over.
 * Promises: every method resolves only after its own COMMIT was acknowledged; each reading makes a
 * small write of its own, so that what it saw is durable; the whole table is read once in a pass, in
 * the order of its key, which is that of the disk.
 * Never: judges whether something may be deleted; waits long for a lock.
 */
import type { Cursor, DecisionMark, MarkPage, Memory, ReceiptMark } from '../../ports/index.ts'
import type { Rows } from './driver.ts'
import { isReplica } from './origin.ts'
import { milliseconds, ownWriteSql, unlistOne } from './register.ts'
import type { Register } from './register.ts'
import { quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'

/** Marks that one page goes through. */
const PAGE_MARKS = 1_500

export interface MemoryFacts {
  readonly app: string
  readonly name: string
  readonly names: SchemaNames
  readonly connections: ServiceConnections
  readonly register: Register
}

export class MysqlMemory implements Memory {
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
    const { plain } = this.#names
    return this.#connections.use(async (connection) => {
      if (await isReplica(connection)) return false
      const rows = await connection.rows(
        `SELECT 1 FROM information_schema.TABLES
WHERE TABLE_SCHEMA = ${quote(plain)} AND TABLE_NAME = 'mark'`,
      )
      return rows.length > 0
    })
  }

  renew(afterMs: number): Promise<void> {
    return this.#register.renew(afterMs)
  }

  async superseded(forMs: number): Promise<readonly string[]> {
    const { epoch } = this.#names
    const rows = await this.#read(
      `SELECT epoch.id FROM ${epoch} AS epoch WHERE (SELECT MIN(later.opened_at)
FROM ${epoch} AS later WHERE later.ordinal > epoch.ordinal) < NOW(3) - ${milliseconds(forMs)}`,
    )
    return firstOf(rows)
  }

  async unlist(epochs: readonly string[]): Promise<void> {
    if (epochs.length === 0) return
    const { epoch } = this.#names
    await this.#commit(async (connection) => {
      // In a statement of its own: a table can't be read by the DELETE that changes it.
      const [newest] = await connection.rows(`SELECT MAX(ordinal) FROM ${epoch}`)
      for (const id of epochs)
        await unlistOne(connection, this.#names, id, Number(newest?.[0] ?? 0))
    })
  }

  async decisions(olderThanMs: number, from: Cursor | undefined): Promise<MarkPage<DecisionMark>> {
    const { rows, next } = await this.#page(
      'txid, epoch, decision, participants',
      `app = ${quote(this.#app)} AND register = ${quote(this.#name)}
  AND decision IN ('commit', 'settled') AND epoch NOT IN (SELECT id FROM ${this.#names.epoch})`,
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

  async receipts(olderThanMs: number, from: Cursor | undefined): Promise<MarkPage<ReceiptMark>> {
    const { rows, next } = await this.#page(
      'txid, epoch, register, participants',
      `app = ${quote(this.#app)} AND register <> ${quote(this.#name)} AND decision = 'commit'`,
      olderThanMs,
      from,
    )
    const marks = rows
      .filter(([, , , participants]) => includes(participants, this.#name))
      .map(([txid, epoch, register]) => ({
        txid: txid ?? '',
        epoch: epoch ?? '',
        register: register ?? '',
      }))
    return { marks, next }
  }

  async present(txids: readonly string[]): Promise<ReadonlySet<string>> {
    if (txids.length === 0) return new Set()
    const rows = await this.#read(
      // A person's abort is no mark of a commit.
      `SELECT txid FROM ${this.#names.mark}
WHERE txid IN (${listOf(txids)}) AND decision <> 'heuristic-abort'`,
    )
    return new Set(firstOf(rows))
  }

  async applied({ txid, register, epoch }: Parameters<Memory['applied']>[0]): Promise<boolean> {
    const rows = await this.#connections.use((connection) =>
      connection.rows(`SELECT 1 FROM ${this.#names.mark} WHERE txid = ${quote(txid)}
AND register = ${quote(register)} AND epoch = ${quote(epoch)}
AND decision IN ('commit', 'settled', 'heuristic-commit')`),
    )
    return rows.length > 0
  }

  async settle(txids: readonly string[]): Promise<ReadonlySet<string>> {
    if (txids.length === 0) return new Set()
    const { mark } = this.#names
    return this.#commit(async (connection) => {
      // What somebody has locked is left for the next pass.
      const found = firstOf(
        await connection.rows(
          `SELECT txid FROM ${mark} WHERE txid IN (${listOf(txids)})
  AND decision IN ('commit', 'settled') FOR UPDATE SKIP LOCKED`,
        ),
      )
      if (found.length === 0) return new Set<string>()
      // Rows that are settled already are written again, so that this COMMIT vouches for them too;
      // InnoDB writes nothing for a row that stays as it is.
      await connection.rows(
        `UPDATE ${mark} SET decision = 'settled', asked = asked + 1 WHERE txid IN (${listOf(found)})`,
      )
      return new Set(found)
    })
  }

  async forgetReceipts(register: string, txids: readonly string[]): Promise<void> {
    await this.#delete(`app = ${quote(this.#app)} AND register = ${quote(register)}`, txids)
  }

  async forgetDecisions(txids: readonly string[]): Promise<void> {
    const { epoch } = this.#names
    await this.#delete(`decision = 'settled' AND epoch NOT IN (SELECT id FROM ${epoch})`, txids)
  }

  /**
   * What somebody else has deleted may only be visible: so it writes as a reading does, and its COMMIT
   * vouches for what is gone. Behind the DELETE, which may wait: nobody else then waits with it.
   */
  async #delete(where: string, txids: readonly string[]): Promise<void> {
    if (txids.length === 0) return
    await this.#commit(async (connection) => {
      await connection.rows(
        `DELETE FROM ${this.#names.mark} WHERE txid IN (${listOf(txids)}) AND ${where}`,
      )
      await connection.rows(ownWriteSql(this.#names))
    })
  }

  /** A stretch of the table, and where the next one begins. */
  async #page(
    columns: string,
    where: string,
    olderThanMs: number,
    from: Cursor | undefined,
  ): Promise<{ rows: Rows; next: Cursor | undefined }> {
    const { mark } = this.#names
    const behind = `FROM ${mark} WHERE txid > ${quote(from ?? '')} ORDER BY txid`
    return this.#commit(async (connection) => {
      await connection.rows(ownWriteSql(this.#names))
      const [last] = await connection.rows(`SELECT txid ${behind} LIMIT 1 OFFSET ${PAGE_MARKS - 1}`)
      const next = last?.[0] ?? undefined
      const upTo = next === undefined ? '' : ` AND txid <= ${quote(next)}`
      const rows = await connection.rows(
        `SELECT ${columns} FROM ${mark} WHERE txid > ${quote(from ?? '')}${upTo}
  AND marked_at < NOW(3) - ${milliseconds(olderThanMs)} AND ${where}`,
      )
      return { rows, next }
    })
  }

  /** Reads durably: with a small write, whose COMMIT comes after what was seen in the log. */
  #read(text: string): Promise<Rows> {
    return this.#commit(async (connection) => {
      await connection.rows(ownWriteSql(this.#names))
      return connection.rows(text)
    })
  }

  #commit<T>(work: (connection: ServiceConnection) => Promise<T>): Promise<T> {
    return this.#connections.use((connection) => connection.acknowledged(work))
  }
}

function firstOf(rows: Rows): readonly string[] {
  return rows.map(([first]) => first ?? '')
}

/** Of ids and epochs, whose alphabet needs no quoting. */
function listOf(ids: readonly string[]): string {
  return ids.map(quote).join(', ')
}

function includes(participants: string | null | undefined, name: string): boolean {
  return (JSON.parse(participants ?? '[]') as readonly string[]).includes(name)
}
