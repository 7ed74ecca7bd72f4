/**
 * A session that is reset in the midst of a transaction (by a proxy that goes on with another one, for
 * instance): what was done behind that is durable by itself, so nobody is told "aborted".
 */
import { expect, test } from 'vitest'
import type mysql from 'mysql2/promise'
import { createAssent } from 'assent'
import { mysql2 } from 'assent/mysql2'
import { refusal } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import { freshMariadb } from '../support/mariadb-databases.ts'
import { freshApp } from '../support/pairs.ts'
import { pg } from 'assent/pg'

const INSERT = 'insert into t values (1)'

async function open() {
  const [stock, orders] = [await freshMariadb('maria'), await freshDatabase('first')]
  let session: mysql.PoolConnection | undefined
  const take = stock.pool.getConnection.bind(stock.pool)
  stock.pool.getConnection = async () => (session = await take())
  const assent = createAssent({
    app: freshApp(),
    participants: { stock: mysql2(stock.pool, { schema: stock.name }), orders: pg(orders.pool) },
  })
  /** Rolled back by the server, which then commits each statement by itself. */
  const reset = (): Promise<void> => session!.changeUser({})
  return { assent, stock, orders, reset }
}

test.each(['commits', 'is rolled back by an error of the user’s'] as const)(
  'where the transaction %s: unknown',
  async (end) => {
    const { assent, stock, orders, reset } = await open()
    await using _ = assent
    const work = assent.transaction(async (db) => {
      await db.stock.query(INSERT)
      await reset()
      await db.stock.query(`insert into ${stock.name}.t values (2)`)
      if (end !== 'commits') throw new Error('sold out')
    })
    const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
    expect(error.message).toMatch(/transaction in stock is not the one that Assent began/)
    expect(await stock.sql('select x from t')).toEqual([{ x: 2 }])
    expect(await orders.count()).toBe(0)
  },
)

test('where another database has written too: unknown, and nothing of that is committed', async () => {
  const { assent, stock, orders, reset } = await open()
  await using _ = assent
  const work = assent.transaction(async (db) => {
    await db.orders.query(INSERT)
    await db.stock.query(INSERT)
    await reset()
    await db.stock.query(`insert into ${stock.name}.t values (2)`)
  })
  await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
  expect(await orders.count()).toBe(0)
  await expect.poll(() => orders.prepared()).toEqual([])
})

test('where another database says no, for a reason of its own: unknown as well', async () => {
  const { assent, stock, orders, reset } = await open()
  await using _ = assent
  await orders.sql('create table u (x int unique deferrable initially deferred)')
  const work = assent.transaction(
    async (db) => {
      await db.orders.query('insert into u values (1), (1)')
      await db.stock.query(INSERT)
      await reset()
      await db.stock.query(`insert into ${stock.name}.t values (2)`)
    },
    { decider: 'orders' },
  )
  const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
  expect(error.cause).toMatchObject({ code: 'ASSENT_REFUSED', outcome: 'aborted' })
  expect(await stock.sql('select x from t')).toEqual([{ x: 2 }])
  expect(await orders.sql('select x from u')).toEqual([])
})
