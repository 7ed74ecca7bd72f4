/**
 * Assent over fresh databases, closed when the test is over.
 */
import { expect, onTestFinished } from 'vitest'
import type pg from 'pg'
import { AssentError, createAssent } from 'assent'
import type { Assent, AssentSetting, ParticipantDefinition, Report } from 'assent'
import { pg as participant } from 'assent/pg'
import type { PgHandle, PgOptions } from 'assent/pg'
import { freshDatabase } from './databases.ts'
import type { TestDatabase } from './databases.ts'

type PgDefinition = ParticipantDefinition<PgHandle<pg.Pool>>
type Two = { orders: PgDefinition; stock: PgDefinition }

export interface Shop {
  readonly assent: Assent<Two>
  readonly orders: TestDatabase
  readonly stock: TestDatabase
  readonly reports: Report[]
}

export type Databases = Pick<Shop, 'orders' | 'stock'>

/** `orders` and `stock` on two servers. */
export async function openShop(
  setting: Partial<AssentSetting<Two>> = {},
  configs: { orders?: pg.PoolConfig; stock?: pg.PoolConfig } = {},
): Promise<Shop> {
  const [orders, stock] = await Promise.all([
    freshDatabase('first', configs.orders),
    freshDatabase('second', configs.stock),
  ])
  return openOver({ orders, stock }, {}, setting)
}

/** Assent over databases that a test has already: a process of the same app for each call. */
export function openOver(
  { orders, stock }: Databases,
  options: PgOptions = {},
  setting: Partial<AssentSetting<Two>> = {},
): Shop {
  const reports: Report[] = []
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(orders.pool, options),
      stock: participant(stock.pool, options),
    },
    onReport: (report) => reports.push(report),
    ...setting,
  })
  onTestFinished(() => assent.close())
  return { assent, orders, stock, reports }
}

/** Both write one row; orders decides: its claim goes along with its statement, or is written last. */
export async function writeBoth(shop: Shop, claim: 'first' | 'last' = 'first'): Promise<string> {
  return shop.assent.transaction(
    async ({ orders, stock }, tx) => {
      for (const each of claim === 'first' ? [stock, orders] : [orders, stock]) {
        await each.query('insert into t values (1)')
      }
      return tx.id
    },
    { decider: 'orders' },
  )
}

/** What a promise rejects with; a promise that resolves fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('the promise resolved')
}

/** An AssentError of this code and outcome. */
export async function refusal(
  promise: Promise<unknown>,
  code: AssentError['code'],
  outcome: AssentError['outcome'] = 'aborted',
): Promise<AssentError> {
  const error = await rejection(promise)
  expect(error).toBeInstanceOf(AssentError)
  const refused = error as AssentError
  expect({ code: refused.code, outcome: refused.outcome }).toEqual({ code, outcome })
  return refused
}

/** Nothing was left behind: no row, no mark, nothing prepared, no open transaction. */
export async function expectNothing(...databases: readonly TestDatabase[]): Promise<void> {
  for (const database of databases) {
    expect(await database.count()).toBe(0)
    expect(await database.prepared()).toEqual([])
    const marks = await database.sql("select to_regclass('assent.mark') is not null as there")
    if (marks[0]?.['there'] === true) {
      expect(await database.sql('select * from assent.mark')).toEqual([])
    }
    const open = `select pid, state, query from pg_stat_activity
      where datname = current_database() and state like 'idle in transaction%'`
    await expect.poll(() => database.sql(open)).toEqual([])
  }
}
