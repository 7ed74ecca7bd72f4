/**
 * What every contender does: one UPDATE of one random row in each database.
 *
 * Owns: the tables, the statements, and the check that nothing was lost or made.
 * Promises: enough rows that two transactions hardly ever meet; the statements are named, so that
 * each connection parses them once.
 */
import type pg from 'pg'
import { eventually } from '../harness/eventually.ts'
import type { MariadbSide } from './mariadb-side.ts'
import type { Work } from './rivals/with-client.ts'
import type { MixedWork } from './rivals/with-mariadb/with-both.ts'
import type { Stage } from './stage.ts'

export interface Urls {
  readonly orders: string
  readonly stock: string
  /** With `--pairs`: what `stock` holds, on MariaDB. */
  readonly mariadb?: string
}

/** What a contender's transactions write to. */
export type Writes = 'both databases' | 'one database' | 'PostgreSQL and MariaDB'

const ROWS = 10_000
const SETTLE_MS = 30_000

/** Room on each page, so that an update needs no new index entry. */
export const TABLES: readonly string[] = [
  ...['account', 'alone'].flatMap((table) => [
    `create table ${table} (id int primary key, amount bigint not null) with (fillfactor = 50)`,
    `insert into ${table} select id, 0 from generate_series(1, ${ROWS}) as id`,
  ]),
  'vacuum (analyze)',
]

/** The same rows; MySQL and MariaDB have no series in common. */
export const MARIADB_TABLES: readonly string[] = [
  'CREATE TABLE account (id INT PRIMARY KEY, amount BIGINT NOT NULL) ENGINE = InnoDB',
  `INSERT INTO account VALUES ${Array.from({ length: ROWS }, (_, at) => `(${at + 1}, 0)`).join()}`,
]

/** Takes one in `orders` and adds it in `stock`. */
export function transferWork(): Work {
  return {
    orders: take(),
    stock: {
      name: 'add',
      text: 'update account set amount = amount + 1 where id = $1',
      values: [randomRow()],
    },
  }
}

/** Takes one in `orders` and adds it on MariaDB. */
export function mixedWork(): MixedWork {
  const sql = 'update account set amount = amount + 1 where id = ?'
  return { orders: take(), mariadb: { sql, values: [randomRow()] } }
}

function take(): pg.QueryConfig {
  const text = 'update account set amount = amount - 1 where id = $1'
  return { name: 'take', text, values: [randomRow()] }
}

/** For those that use one database: in a table of their own. */
export function aloneStatement(): pg.QueryConfig {
  const text = 'update alone set amount = amount + 1 where id = $1'
  return { name: 'alone', text, values: [randomRow()] }
}

function randomRow(): number {
  return 1 + Math.floor(Math.random() * ROWS)
}

/** Counts what was answered as committed, and holds the databases to it. */
export class Ledger {
  readonly #orders: pg.Pool
  readonly #stock: pg.Pool
  readonly #mariadb: MariadbSide | undefined
  #committed: Record<Writes, number> = {
    'both databases': 0,
    'one database': 0,
    'PostgreSQL and MariaDB': 0,
  }

  constructor({ control, mariadb }: Pick<Stage, 'control' | 'mariadb'>) {
    this.#orders = control.orders
    this.#stock = control.stock
    this.#mariadb = mariadb
  }

  add(writes: Writes, committed: number): void {
    this.#committed[writes] += committed
  }

  /** @throws Error if a row disagrees with what was answered, or something stays prepared */
  async verify(who: string, settleMs = SETTLE_MS): Promise<void> {
    const prepared = async (): Promise<boolean> => {
      const text =
        'select count(*)::int as n from pg_prepared_xacts where database = current_database()'
      const [orders, stock] = await Promise.all([
        number(this.#orders, text),
        number(this.#stock, text),
      ])
      const onMariadb = await this.#mariadb?.preparedCount()
      return orders + stock + (onMariadb ?? 0) === 0
    }
    await eventually(`nothing to be prepared after ${who}`, prepared, { timeoutMs: settleMs })
    const both = this.#committed['both databases']
    const mixed = this.#committed['PostgreSQL and MariaDB']
    const found = {
      orders: await number(this.#orders, sumOf('account')),
      stock: await number(this.#stock, sumOf('account')),
      alone: await number(this.#orders, sumOf('alone')),
      mariadb: (await this.#mariadb?.sum()) ?? 0,
    }
    const alone = this.#committed['one database']
    const expected = { orders: 0 - both - mixed, stock: both, alone, mariadb: mixed }
    if (JSON.stringify(found) === JSON.stringify(expected)) return
    throw new Error(
      `after ${who} the databases have ${JSON.stringify(found)}, and what was answered adds up to ` +
        JSON.stringify(expected),
    )
  }
}

function sumOf(table: 'account' | 'alone'): string {
  return `select sum(amount)::int as n from ${table}`
}

async function number(database: pg.Pool, text: string): Promise<number> {
  const { rows } = await database.query<{ n: number }>(text)
  return rows[0]?.n ?? NaN
}
