import { expect, test } from 'vitest'
import { openShop, refusal, rejection } from '../support/assent.ts'

test('a deferred trigger’s warning is not COMMIT’s: the commit is told as what it is', async () => {
  const { assent, orders } = await openShop()
  await orders.sql(`create function warn() returns trigger language plpgsql as
      'begin raise warning ''careful''; return new; end';
    create constraint trigger warn after insert on t deferrable initially deferred
      for each row execute function warn()`)
  await assent.transaction((db) => db.orders.query('insert into t values (1)'))
  expect(await orders.count()).toBe(1)
})

test('a deferred constraint that fails is told as aborted', async () => {
  const { assent, orders } = await openShop()
  await orders.sql('create table u (x int unique deferrable initially deferred)')
  const error = await refusal(
    assent.transaction((db) => db.orders.query('insert into u values (1), (1)')),
    'ASSENT_REFUSED',
  )
  expect(error.cause).toMatchObject({ code: '23505' })
  expect(await orders.sql('select * from u')).toEqual([])
})

test('a hidden ROLLBACK AND CHAIN is not told as committed', async () => {
  const { assent, orders } = await openShop()
  const work = assent.transaction(async (db) => {
    await db.orders.query('insert into t values (1)')
    await db.orders.query('savepoint a')
    await rejection(db.orders.query('rollback to b'))
    await db.orders.query('rollback to a')
    await db.orders.query('set standard_conforming_strings = off')
    await db.orders.query("select '\\''; rollback and chain; --'")
    await db.orders.query('insert into t values (2)')
  })
  await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
  expect(await orders.count()).toBe(0)
})

test('a connection that somebody gave back inside a transaction is not used', async () => {
  const { assent, orders } = await openShop({}, { orders: { max: 1 } })
  const client = await orders.pool.connect()
  await client.query('begin')
  await client.query('insert into t values (666)')
  client.release()
  await assent.transaction((db) => db.orders.query('insert into t values (1)'))
  expect(await orders.sql('select x from t')).toEqual([{ x: 1 }])
})

test('a signal that is aborted already runs nothing', async () => {
  const { assent } = await openShop()
  let runs = 0
  const run = assent.transaction(() => (runs += 1), { signal: AbortSignal.abort() })
  await refusal(run, 'ASSENT_CANCELLED')
  expect(runs).toBe(0)
})

test('whatever the function throws comes out as it is', async () => {
  const { assent } = await openShop()
  for (const thrown of [undefined, null, 'text', 7]) {
    const run = assent.transaction(async (db) => {
      await db.orders.query('select 1')
      // Users throw what they like.
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw thrown
    })
    expect(await rejection(run)).toBe(thrown)
  }
})
