/**
 * What every contender does: one UPDATE of one random row in each database.
 *
 * Owns: the tables, the statements, and the check that nothing was lost or made.
 * Promises: enough rows that two transactions hardly ever meet; the statements are named, so that
 * each connection parses them once.
 */
import type pg from 'pg'
import { eventually } from '../harness/eventually.ts'
import type { Work } from './rivals/with-client.ts'

export interface Urls {
  readonly orders: string
  readonly stock: string
}

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

/** Takes one in `orders` and adds it in `stock`. */
export function transferWork(): Work {
  return {
    orders: {
      name: 'take',
      text: 'update account set amount = amount - 1 where id = $1',
      values: [randomRow()],
    },
    stock: {
      name: 'add',
      text: 'update account set amount = amount + 1 where id = $1',
      values: [randomRow()],
    },
  }
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
  #committed = { 'both databases': 0, 'one database': 0 }

  constructor(orders: pg.Pool, stock: pg.Pool) {
    this.#orders = orders
    this.#stock = stock
  }

  add(writes: 'both databases' | 'one database', committed: number): void {
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
      return orders + stock === 0
    }
    await eventually(`nothing to be prepared after ${who}`, prepared, { timeoutMs: settleMs })
    const both = this.#committed['both databases']
    const found = {
      orders: await number(this.#orders, sumOf('account')),
      stock: await number(this.#stock, sumOf('account')),
      alone: await number(this.#orders, sumOf('alone')),
    }
    const expected = { orders: -both, stock: both, alone: this.#committed['one database'] }
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
