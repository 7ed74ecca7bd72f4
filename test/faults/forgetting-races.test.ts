/**
 * Forgetting meets recovery at the same transaction (fault 71).
 */
import { expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { WireProxy } from '../../harness/wire-proxy.ts'
import type { Verdict } from '../../harness/wire-proxy.ts'
import { openOver, openShop } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'
import { NOTHING, age, cleanerOf, marksOf } from '../support/cleaner.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import { kindOfMessage } from '../support/message-kinds.ts'

const TRANSACTIONS = 20

/** Decided, still prepared, and due to be forgotten: old, and their epoch is not listed any more. */
async function leaveDue(shop: Pick<Shop, 'orders' | 'stock'>, count: number): Promise<void> {
  for (let left = 0; left < count; left += 1) (await leaveBehind(shop, 'decided')).vanish()
  await shop.orders.sql('delete from assent.epoch')
  await age(shop)
}

test('many of both, at the same transactions, at once: each ends committed (fault 71)', async () => {
  const shop = await openShop()
  await shop.assent.close()
  await leaveDue(shop, TRANSACTIONS)
  const cleaners = [cleanerOf(shop), cleanerOf(shop)]
  const recoverers = [openOver(shop), openOver(shop)]
  const isOver = async (): Promise<boolean> =>
    (await shop.stock.prepared()).length === 0 && (await marksOf(shop)).orders.length === 0
  await expect
    .poll(async () => {
      await Promise.all([
        ...cleaners.map((cleaner) => cleaner.pass()),
        ...recoverers.map(({ assent }) => assent.recover()),
      ])
      return isOver()
    })
    .toBe(true)
  expect(await marksOf(shop)).toEqual(NOTHING)
  expect([await shop.orders.count(), await shop.stock.count()]).toEqual([
    TRANSACTIONS,
    TRANSACTIONS,
  ])
  const reports = [...cleaners, ...recoverers].flatMap(({ reports }) => reports)
  expect(reports.filter(({ type }) => type !== 'recovered')).toEqual([])
})

test.each(['request', 'answer'] as const)(
  'a pass goes by while COMMIT PREPARED stands still at its %s: nothing is taken from it (fault 71)',
  async (point) => {
    const databases = { orders: await freshDatabase('first'), stock: await freshDatabase('second') }
    await openOver(databases).assent.close()
    await leaveDue(databases, 1)
    const { stock, proxy } = await behindProxy(databases.stock)
    const released = Promise.withResolvers<Verdict>()
    const reached = Promise.withResolvers<undefined>()
    const stop = (name: string): Verdict | Promise<Verdict> => {
      if (name !== 'apply') return 'pass'
      reached.resolve(undefined)
      return released.promise
    }
    if (point === 'request') proxy.hooks.onRequest = ({ name }) => stop(name)
    else proxy.hooks.onAnswer = ({ name }) => stop(name)
    const recoverer = openOver({ ...databases, stock })
    await reached.promise

    const cleaner = cleanerOf(databases)
    await cleaner.pass()
    expect(await marksOf(databases)).toEqual(
      point === 'request' ? { orders: ['commit'], stock: [] } : NOTHING,
    )
    released.resolve('pass')
    await expect.poll(() => databases.stock.count()).toBe(1)
    await recoverer.assent.close()
    await cleaner.pass()
    expect(await marksOf(databases)).toEqual(NOTHING)
    expect(cleaner.reports).toEqual([])
    expect(recoverer.reports).toMatchObject([{ type: 'recovered', outcome: 'committed' }])
  },
)

async function behindProxy(
  database: TestDatabase,
): Promise<{ readonly stock: TestDatabase; readonly proxy: WireProxy }> {
  const targetPort = Number(new URL(database.url).port)
  const proxy = await WireProxy.listen({ targetPort, name: kindOfMessage })
  const pool = new pg.Pool({ connectionString: proxy.url(database.url) })
  pool.on('error', () => undefined)
  onTestFinished(async () => {
    await pool.end()
    await proxy.close()
  })
  return { stock: { ...database, pool }, proxy }
}
