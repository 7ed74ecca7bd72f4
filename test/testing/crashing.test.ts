/**
 * `crashing()` does to a transaction what the end of its process would do, at every step.
 */
import { expect, onTestFinished, test } from 'vitest'
import { AssentError, createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { crashing, settled } from 'assent/testing'
import type { CrashPoint } from 'assent/testing'
import { openOver, openShop, refusal, writeBoth } from '../support/assent.ts'
import type { Databases } from '../support/assent.ts'

function doomedOver({ orders, stock }: Databases, point: CrashPoint<'orders' | 'stock'>) {
  const participants = { orders: participant(orders.pool), stock: participant(stock.pool) }
  const assent = createAssent({ app: 'shop', participants: crashing(participants, point) })
  onTestFinished(() => assent.close())
  return { assent, orders, stock, reports: [] }
}

test('at each step leaves what a killed process leaves, and another one ends it', async () => {
  // Of another app, so that it leaves alone what is left.
  const shop = await openShop({ app: 'idle' })
  await writeBoth(shop)
  const left = async (point: CrashPoint<'orders' | 'stock'>) => {
    const doomed = doomedOver(shop, point)
    const crashed = writeBoth(doomed, 'last')
    const error = await refusal(crashed, 'ASSENT_CRASHED', 'unknown')
    // Its own recovery is as dead as it is.
    expect(await doomed.assent.recover()).toEqual([])
    const prepared = (await shop.stock.prepared()).length
    expect(await refusal(writeBoth(doomed), 'ASSENT_CRASHED', 'unknown')).toBe(error)
    const survivor = openOver(shop)
    expect(await settled(survivor.assent)).toEqual([])
    const outcome = await survivor.assent.outcome(error.transactionId ?? '', { waitMs: 5_000 })
    const rows = [await shop.orders.count(), await shop.stock.count()]
    for (const database of [shop.orders, shop.stock]) await database.sql('delete from t')
    await Promise.all([survivor.assent.close(), doomed.assent.close()])
    return { prepared, rows, outcome: outcome.outcome }
  }
  for (const database of [shop.orders, shop.stock]) await database.sql('delete from t')
  const nothing = { rows: [0, 0], outcome: 'aborted' }
  const all = { rows: [1, 1], outcome: 'committed' }
  expect(await left({ at: 'before claim' })).toEqual({ ...nothing, prepared: 0 })
  expect(await left({ at: 'after claim' })).toEqual({ ...nothing, prepared: 0 })
  expect(await left({ at: 'before vote' })).toEqual({ ...nothing, prepared: 0 })
  expect(await left({ at: 'after vote' })).toEqual({ ...nothing, prepared: 1 })
  expect(await left({ at: 'before decide' })).toEqual({ ...nothing, prepared: 1 })
  expect(await left({ at: 'after decide' })).toEqual({ ...all, prepared: 1 })
  expect(await left({ at: 'before apply', participant: 'stock' })).toEqual({ ...all, prepared: 1 })
  expect(await left({ at: 'after apply' })).toEqual({ ...all, prepared: 0 })
})

test('crashes the commit of one database alone, and cuts what else was open', async () => {
  const shop = await openShop()
  const doomed = doomedOver(shop, { at: 'before decide', participant: 'orders' })
  let afterwards = 'answered'
  const began = Promise.withResolvers<undefined>()
  const crashed = Promise.withResolvers<undefined>()
  const other = doomed.assent.transaction(async ({ stock }) => {
    await stock.query('insert into t values (2)')
    began.resolve(undefined)
    await crashed.promise
    await stock.query('select 1').catch(() => (afterwards = 'cut'))
  })
  await began.promise
  const alone = doomed.assent.transaction(({ orders }) => orders.query('insert into t values (1)'))
  await refusal(alone, 'ASSENT_CRASHED', 'unknown')
  crashed.resolve(undefined)
  await expect(other).rejects.toBeInstanceOf(AssentError)
  expect(afterwards).toBe('cut')
  expect([await shop.orders.count(), await shop.stock.count()]).toEqual([0, 0])
  expect([shop.orders.pool.totalCount, shop.stock.pool.totalCount]).toEqual([0, 0])
  await expect(writeBoth(shop)).resolves.toEqual(expect.any(String))
})

test('with another participant’s step never reached, nothing is crashed', async () => {
  const shop = await openShop()
  const doomed = doomedOver(shop, { at: 'after vote', participant: 'orders' })
  await writeBoth(doomed)
  expect([await shop.orders.count(), await shop.stock.count()]).toEqual([1, 1])
})

test.each([
  [{ at: 'after commit' }, /at: "after commit".+Expected one of before claim/],
  [{ at: 'after vote', participant: 'stok' }, /participant: "stok".+Expected one of orders, stock/],
  [undefined, /Expected one of before claim/],
])('refuses %j with one sentence', (point, said) => {
  const make = () => crashing({ orders: {}, stock: {} } as never, point as never)
  expect(make).toThrow(AssentError)
  expect(make).toThrow(said)
})
