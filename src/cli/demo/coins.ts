/**
 * What the demonstration does to the databases: coins that move from one to another.
 *
 * Owns: its two tables, and every statement on them.
 * Promises: the same SQL for every system; nothing in it comes from outside, so nothing is quoted.
 * A transfer takes its rows in the order of the databases' names, so that two never wait for each other.
 */
import { randomBytes, randomInt } from 'node:crypto'
import type { UrlPool } from '../participants.ts'

const [ACCOUNTS, MOVES] = ['assent_demo_accounts', 'assent_demo_moves'] as const
const COUNT = 100
const COINS_EACH = 1_000
const MOST_MOVED = 10

/** Coins of one transfer: what is written in each of its two databases. */
export interface Transfer {
  readonly id: string
  readonly writes: readonly { readonly database: string; readonly statements: readonly string[] }[]
}

/** `databases`: two or more, sorted. */
export function randomTransfer(databases: readonly string[]): Transfer {
  const id = randomBytes(12).toString('hex')
  const coins = 1 + randomInt(MOST_MOVED)
  const first = randomInt(databases.length - 1)
  const second = first + 1 + randomInt(databases.length - 1 - first)
  const sign = randomInt(2) === 0 ? 1 : -1
  const write = (at: number, change: number): Transfer['writes'][number] => ({
    database: databases[at] ?? '',
    statements: [
      `UPDATE ${ACCOUNTS} SET coins = coins + ${change} WHERE id = ${randomInt(COUNT)}`,
      `INSERT INTO ${MOVES} (id, coins) VALUES ('${id}', ${change})`,
    ],
  })
  return { id, writes: [write(first, sign * coins), write(second, -sign * coins)] }
}

/** What a database shows in the end. */
export interface Shown {
  readonly coins: number
  /** Ids of the transfers that are in it. */
  readonly moves: ReadonlySet<string>
}

/** One database, outside of any transaction of Assent's. */
export class Coins {
  static readonly perDatabase = COUNT * COINS_EACH
  readonly #pool: UrlPool

  constructor(pool: UrlPool) {
    this.#pool = pool
  }

  /** Of an earlier run that was not ended, or of somebody else. @throws the driver's error */
  async areThere(): Promise<boolean> {
    return (await this.#isThere(ACCOUNTS)) || (await this.#isThere(MOVES))
  }

  async #isThere(table: string): Promise<boolean> {
    try {
      await this.#rows(`SELECT 1 FROM ${table} WHERE coins = 0`)
      return true
    } catch (error) {
      if (isNoTable(error)) return false
      throw error
    }
  }

  /** Both tables, or none. @throws the driver's error */
  async make(): Promise<void> {
    await this.#rows(`CREATE TABLE ${ACCOUNTS} (id INT PRIMARY KEY, coins BIGINT NOT NULL)`)
    try {
      await this.#rows(`CREATE TABLE ${MOVES} (id VARCHAR(40) PRIMARY KEY, coins BIGINT NOT NULL)`)
    } catch (error) {
      await this.#rows(`DROP TABLE ${ACCOUNTS}`)
      throw error
    }
    const rows = Array.from({ length: COUNT }, (_, id) => `(${id}, ${COINS_EACH})`)
    await this.#rows(`INSERT INTO ${ACCOUNTS} (id, coins) VALUES ${rows.join()}`)
  }

  async drop(): Promise<void> {
    await this.#rows(`DROP TABLE ${ACCOUNTS}`)
    await this.#rows(`DROP TABLE ${MOVES}`)
  }

  async show(): Promise<Shown> {
    const [sum] = await this.#rows(`SELECT SUM(coins) AS coins FROM ${ACCOUNTS}`)
    const moves = await this.#rows(`SELECT id FROM ${MOVES}`)
    return { coins: Number(sum?.['coins']), moves: new Set(moves.map(({ id }) => String(id))) }
  }

  async #rows(sql: string): Promise<readonly Record<string, unknown>[]> {
    const answer = await (this.#pool as Queryable).query(sql)
    // `pg` answers with an object, mysql2 with rows and fields, mariadb with rows.
    if (!Array.isArray(answer)) return (answer as { rows: Record<string, unknown>[] }).rows
    return (Array.isArray(answer[0]) ? answer[0] : answer) as Record<string, unknown>[]
  }
}

/** As PostgreSQL says it, and MySQL. */
function isNoTable(error: unknown): boolean {
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown }
  return code === '42P01' || errno === 1146
}

interface Queryable {
  query: (sql: string) => Promise<unknown>
}
