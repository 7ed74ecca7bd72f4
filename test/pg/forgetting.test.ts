/**
 * Forgetting on real databases: what goes, what stays, and what is reported. Rows are made older
 * instead of waiting; no safety rests on their age.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import type { Report } from 'assent'
import { pg as participant } from 'assent/pg'
import { Recovery } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { openShop, writeBoth } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'
import { NOTHING, age, cleanerOf, marksOf, supersede } from '../support/cleaner.ts'
import type { Cleaner } from '../support/cleaner.ts'
import { leaveBehind, openParticipant } from '../support/leftover.ts'

const epochsOf = async ({ orders }: Shop): Promise<number> =>
  (await orders.sql('select id from assent.epoch')).length

describe('a transaction that is over', () => {
  test('is deleted with a write beside it, which vouches also for what somebody else deleted', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    const { memory } = openParticipant(shop, 'stock')
    const written = async (): Promise<string> =>
      String((await shop.stock.sql('select reads::text from assent.database'))[0]?.['reads'])
    const before = await written()
    await memory.forgetReceipts('orders', ['deleted-long-ago'])
    const between = await written()
    expect(between).not.toBe(before)
    await memory.forgetDecisions(['deleted-long-ago'])
    expect(await written()).not.toBe(between)
  })

  test('is forgotten in both databases once its epoch was superseded for the retention', async () => {
    const shop = await openShop()
    for (let count = 0; count < 3; count += 1) await writeBoth(shop)
    const cleaner = cleanerOf(shop)
    await cleaner.pass()
    expect(await marksOf(shop)).toEqual({
      orders: Array(3).fill('commit'),
      stock: Array(3).fill('commit'),
    })
    await supersede(shop, cleaner)
    await cleaner.pass()
    expect(await marksOf(shop)).toEqual(NOTHING)
    expect(cleaner.reports).toEqual([])
  })

  test('is kept while its epoch is listed, however old it is', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await age(shop)
    const cleaner = cleanerOf(shop)
    await cleaner.pass()
    expect(await epochsOf(shop)).toBe(2)
    expect(await marksOf(shop)).toEqual({ orders: ['commit'], stock: ['commit'] })
  })

  test('is answered as committed before it is forgotten, and never as aborted afterwards', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    const [mark] = await shop.orders.sql('select register, epoch, txid from assent.mark')
    const id = `A1.shop.${String(mark?.['register'])}.${String(mark?.['epoch'])}.${String(mark?.['txid'])}`
    const cleaner = cleanerOf(shop)
    await shop.orders.sql("update assent.mark set decision = 'settled'")
    expect(await shop.assent.outcome(id)).toEqual({ outcome: 'committed' })
    expect(await shop.assent.outcome(String(mark?.['txid']))).toEqual({ outcome: 'committed' })
    await supersede(shop, cleaner)
    await cleaner.pass()
    expect(await shop.assent.outcome(id)).toEqual({ outcome: 'unknown', reason: 'forgotten' })
  })

  test('is forgotten by the running program itself', async () => {
    const shop = await openShop({ retentionMs: 10_000 })
    await writeBoth(shop)
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await expect.poll(() => marksOf(shop), { timeout: 20_000 }).toEqual(NOTHING)
    expect(shop.reports).toEqual([])
  })

  test('of another app is left to that app', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.orders.sql("update assent.mark set app = 'other'")
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await cleaner.pass('orders')
    expect(await marksOf(shop)).toEqual({ orders: ['commit'], stock: ['commit'] })
  })
})

describe('a transaction that is not over everywhere', () => {
  test('keeps its epoch listed while a branch of it is prepared', async () => {
    const shop = await openShop()
    await shop.assent.close()
    const leftover = await leaveBehind(shop, 'decided')
    leftover.vanish()
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await cleaner.pass()
    expect(
      await shop.orders.sql(`select id from assent.epoch where id = '${leftover.gid.epoch}'`),
    ).toHaveLength(1)
  })

  test('keeps its decision while a branch is prepared, even if its epoch has gone', async () => {
    const shop = await openShop()
    await shop.assent.close()
    const leftover = await leaveBehind(shop, 'decided')
    leftover.vanish()
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await shop.orders.sql(
      'delete from assent.epoch where ordinal < (select max(ordinal) from assent.epoch)',
    )
    await cleaner.pass()
    expect(await marksOf(shop)).toEqual({ orders: ['commit'], stock: [] })
    expect(cleaner.reports).toEqual([])

    const recoverer = await openRecovery(cleaner)
    await recoverer(shop)
    expect(await marksOf(shop)).toEqual({ orders: ['commit'], stock: ['commit'] })
    await age(shop)
    await cleaner.pass()
    expect(await marksOf(shop)).toEqual(NOTHING)
  })

  test('a lost vote is reported, once, and nothing of it is deleted', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.stock.sql('delete from assent.mark')
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await cleaner.pass()
    await cleaner.pass()
    expect(cleaner.reports).toMatchObject([{ type: 'lost-vote', participant: 'stock' }])
    expect(await marksOf(shop)).toEqual({ orders: ['commit'], stock: [] })
  })

  test('a receipt without its decision is reported, and stays', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.orders.sql('delete from assent.mark')
    await age(shop)
    const cleaner = cleanerOf(shop)
    await cleaner.pass()
    expect(cleaner.reports).toMatchObject([{ type: 'lost-decision', participant: 'stock' }])
    expect(await marksOf(shop)).toEqual({ orders: [], stock: ['commit'] })
  })

  test('a participant that is not configured, or not reached, pauses it, and that is said', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    const cleaner = cleanerOf(shop, ['orders'])
    await supersede(shop, cleaner)
    await cleaner.pass()
    await cleaner.pass()
    expect(cleaner.reports).toMatchObject([{ type: 'forgetting-paused', participant: 'stock' }])
    expect(await marksOf(shop)).toEqual({ orders: ['commit'], stock: ['commit'] })
  })
})

describe('a database that is configured twice', () => {
  test('each time with a schema of its own: no vote is taken for lost', async () => {
    const shop = await openShop()
    await shop.assent.close()
    const twin = new pg.Pool({ connectionString: shop.stock.url })
    onTestFinished(() => twin.end())
    const reports: Report[] = []
    const open = () =>
      createAssent({
        app: 'shop',
        onReport: (report) => reports.push(report),
        participants: {
          orders: participant(shop.orders.pool),
          one: participant(shop.stock.pool, { schema: 'one' }),
          two: participant(twin, { schema: 'two' }),
        },
      })
    {
      await using first = open()
      await first.migrate()
      await first.transaction(async ({ orders, one }) => {
        await orders.query('insert into t values (1)')
        await one.query('insert into t values (1)')
      })
    }
    const [epoch] = await shop.orders.sql('select id from assent.epoch')
    for (let serial = 0; serial < 20; serial += 1) {
      const txid = String(serial).padStart(20, 'x')
      const mark = (schema: string): string =>
        `insert into ${schema}.mark (txid, decision, app, register, epoch, participants) values
         ('${txid}', 'commit', 'shop', 'orders', '${String(epoch?.['id'])}', '{orders,two}')`
      await shop.orders.sql(mark('assent'))
      const gid = `A1.shop.orders.${String(epoch?.['id'])}.${txid}.two`
      await shop.stock.sql(`begin; ${mark('two')}; prepare transaction '${gid}'`)
    }
    await using assent = open()
    await expect.poll(async () => (await assent.recover()).length).toBe(0)
    await expect.poll(() => shop.stock.prepared()).toEqual([])
    expect(reports.filter(({ type }) => type !== 'recovered')).toEqual([])
  })
})

describe('whoever stopped in the middle', () => {
  test.each([
    ['before the receipts were deleted', 'commit'],
    ['after the receipts were deleted', 'none'],
  ])('left a settled row %s: anybody goes on', async (_when, receipt) => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.orders.sql("update assent.mark set decision = 'settled'")
    if (receipt === 'none') await shop.stock.sql('delete from assent.mark')
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await cleaner.pass()
    expect(await marksOf(shop)).toEqual(NOTHING)
    expect(cleaner.reports).toEqual([])
  })

  test('many processes forget the same marks at once, and none raises an alarm', async () => {
    const shop = await openShop()
    for (let count = 0; count < 20; count += 1) await writeBoth(shop)
    const cleaners = [cleanerOf(shop), cleanerOf(shop), cleanerOf(shop)]
    await supersede(shop, cleaners[0]!)
    await Promise.all(cleaners.map((cleaner) => cleaner.pass()))
    await cleaners[0]!.pass()
    expect(await marksOf(shop)).toEqual(NOTHING)
    const alarms = cleaners.flatMap(({ reports }) =>
      reports.filter(({ type }) => type.startsWith('lost')),
    )
    expect(alarms).toEqual([])
  })
})

describe('a database that was restored', () => {
  test('holds what it may have forgotten; the SQL is printed without changing anything', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    const sql = await shop.assent.restored('orders', { print: true })
    expect(sql).toBe('DELETE FROM "assent".epoch;')
    expect(await epochsOf(shop)).toBe(1)
    await shop.assent.restored('orders')
    expect(await epochsOf(shop)).toBe(0)
    leftover.vanish()
    await expect
      .poll(() => shop.assent.recover(), { timeout: 10_000 })
      .toMatchObject([{ participant: 'stock', reason: 'held' }])
    expect(await shop.assent.outcome(leftover.id)).toEqual({ outcome: 'unknown', reason: 'held' })
    await writeBoth(shop)
    await expect(shop.assent.restored('nowhere' as 'orders')).rejects.toMatchObject({
      code: 'ASSENT_UNKNOWN_PARTICIPANT',
    })
  })
})

/** Recovers what is prepared at stock, through the cleaner's participants. */
async function openRecovery(cleaner: Cleaner): Promise<(shop: Shop) => Promise<void>> {
  const { participants, reports } = cleaner
  const recovery = new Recovery({
    participants,
    world: nodeWorld,
    report: (report) => reports.push(report),
    signal: new AbortController().signal,
  })
  const { readGid } = await import('../../src/protocol/index.ts')
  return async (shop) => {
    for (const text of await shop.stock.prepared()) {
      const reading = readGid(text, 'shop')
      if (reading.kind === 'ours') await recovery.round(participants.get('stock')!, reading.gid)
    }
  }
}
