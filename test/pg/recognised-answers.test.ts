/**
 * Answers that are recognised by their bytes, on real connections: the driver does not hear of them.
 */
import pg from 'pg'
import { expect, test } from 'vitest'
import { openShop, refusal, writeBoth } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'

/** Every tag that the drivers read from now on. */
function readByDrivers({ orders, stock }: Shop): string[] {
  const tags: string[] = []
  for (const { pool } of [orders, stock]) {
    pool.on('acquire', (client) => {
      const { connection } = client as pg.PoolClient & { connection: pg.Connection }
      if (heard.has(connection)) return
      heard.add(connection)
      connection.on('commandComplete', ({ text }: { text: string }) => tags.push(text))
    })
  }
  return tags
}
const heard = new WeakSet<pg.Connection>()

test('once all is parsed, the driver reads the marks, the statements and the ends', async () => {
  const shop = await openShop({}, { orders: { max: 1 }, stock: { max: 1 } })
  await writeBoth(shop)
  await writeBoth(shop)
  const tags = readByDrivers(shop)
  await writeBoth(shop)
  expect(tags.sort()).toEqual([
    'COMMIT PREPARED',
    'INSERT 0 1',
    'INSERT 0 1',
    'INSERT 0 1',
    'INSERT 0 1',
    'PREPARE TRANSACTION',
  ])
})

test('a warning among them is heard: the driver reads that answer', async () => {
  const shop = await openShop({}, { orders: { max: 1 }, stock: { max: 1 } })
  await shop.stock.pool.query(`create function warn() returns trigger language plpgsql as
    $$ begin raise warning 'deferred'; return null; end $$`)
  await shop.stock.pool.query(`create constraint trigger late after insert on t
    deferrable initially deferred for each row execute function warn()`)
  await writeBoth(shop)
  await writeBoth(shop)
  const tags = readByDrivers(shop)
  await writeBoth(shop)
  expect(tags).toContain('SET CONSTRAINTS')
})

test('a setting that fails among them ends the transaction as ever', async () => {
  const shop = await openShop({}, { orders: { max: 1 }, stock: { max: 1 } })
  await shop.stock.pool.query(`create function fail() returns trigger language plpgsql as
    $$ begin raise exception 'deferred' using errcode = '23514'; end $$`)
  await writeBoth(shop)
  await writeBoth(shop)
  await shop.stock.pool.query(`create constraint trigger late after insert on t
    deferrable initially deferred for each row execute function fail()`)
  const work = writeBoth(shop)
  const error = await refusal(work, 'ASSENT_REFUSED')
  expect(error).toMatchObject({ outcome: 'aborted', cause: { code: '23514' } })
})
