/**
 * Rights on Assent's tables change in the middle of a transaction, or its own function misuses them.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import type { Report } from 'assent'
import { pg as participant } from 'assent/pg'
import { openShop, refusal, rejection, writeBoth } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'

/** Both databases, used by a role that owns nothing and was granted what Assent needs. */
async function shopOfRole() {
  const databases = { orders: await freshDatabase('first'), stock: await freshDatabase('second') }
  await migrate(databases)
  const role = `clerk_${databases.orders.name}`
  const pools = new Map<string, pg.Pool>()
  for (const [name, database] of Object.entries(databases)) {
    const sql = (text: string): Promise<unknown> => database.sql(text)
    await sql(`create role ${role} login password 'clerk'`)
    await sql(`grant select, insert on t to ${role}`)
    await sql(`grant usage on schema assent to ${role}`)
    await sql(`grant select, insert, update, delete on all tables in schema assent to ${role}`)
    const as = new URL(database.url)
    as.username = role
    as.password = 'clerk'
    const pool = new pg.Pool({ connectionString: as.href })
    pool.on('error', () => undefined)
    pools.set(name, pool)
  }
  const reports: Report[] = []
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(pools.get('orders')!),
      stock: participant(pools.get('stock')!),
    },
    onReport: (report) => reports.push(report),
  })
  onTestFinished(async () => {
    await assent.close()
    for (const pool of pools.values()) await pool.end()
    for (const database of Object.values(databases)) {
      for (const gid of await database.prepared()) await database.sql(`rollback prepared '${gid}'`)
      await database.sql(`drop owned by ${role}`)
      await database.sql(`drop role ${role}`)
    }
  })
  const shop = {
    orders: { ...databases.orders, pool: pools.get('orders')! },
    stock: { ...databases.stock, pool: pools.get('stock')! },
  } as unknown as Shop
  return { assent, shop, role, reports, ...databases }
}

/** By somebody who may. */
async function migrate(databases: Record<'orders' | 'stock', { pool: pg.Pool }>): Promise<void> {
  await using assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(databases.orders.pool),
      stock: participant(databases.stock.pool),
    },
  })
  await assent.migrate()
}

describe('the right to write marks is taken away (fault 101)', () => {
  test.each([
    ['orders', 'orders'],
    ['orders', 'stock'],
    ['stock', 'orders'],
    ['stock', 'stock'],
  ] as const)('in %s before its mark, %s decides: aborted', async (where, decider) => {
    const of = await shopOfRole()
    const write = (revoke: () => Promise<unknown>): Promise<void> =>
      of.assent.transaction(
        async (db) => {
          for (const name of [where, where === 'orders' ? 'stock' : 'orders'] as const) {
            await db[name].query('insert into t values (1)')
          }
          await revoke()
        },
        { decider },
      )
    await write(() => Promise.resolve())
    const revoked = write(() => of[where].sql(`revoke insert on assent.mark from ${of.role}`))
    await refusal(revoked, 'ASSENT_PRIVILEGE')
    expect([await of.orders.count(), await of.stock.count()]).toEqual([1, 1])
    expect([...(await of.orders.prepared()), ...(await of.stock.prepared())]).toEqual([])
  })

  test('in the register after the decision: in doubt, until it is granted again', async () => {
    const of = await shopOfRole()
    const leftover = await leaveBehind(of.shop, 'decided')
    await of.orders.sql(`revoke insert on assent.mark from ${of.role}`)
    leftover.vanish()
    const doubt = { participant: 'stock', reason: 'register-unclear' }
    await expect.poll(() => of.assent.recover()).toMatchObject([doubt])
    expect(await of.stock.prepared()).toHaveLength(1)
    expect(await of.assent.outcome(leftover.id)).toMatchObject({ outcome: 'unknown' })
    await of.orders.sql(`grant insert on assent.mark to ${of.role}`)
    await expect.poll(() => of.stock.prepared(), { timeout: 20_000 }).toEqual([])
    expect([await of.orders.count(), await of.stock.count()]).toEqual([1, 1])
  })
})

describe('the transaction’s own function deletes marks (fault 116)', () => {
  test('it can’t reach its own that are written after it', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    const txid = await shop.assent.transaction(
      async ({ orders, stock }, tx) => {
        for (const handle of [orders, stock]) {
          await handle.query('insert into t values (1)')
          await handle.query('delete from assent.mark')
        }
        return tx.id
      },
      { decider: 'orders' },
    )
    for (const database of [shop.orders, shop.stock]) {
      expect(await database.sql('select txid from assent.mark')).toEqual([{ txid }])
    }
    expect(await shop.assent.outcome(txid)).toEqual({ outcome: 'committed' })
  })

  test('its own claim, written with its first statement: nothing is committed, and it is told why', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    const work = shop.assent.transaction(async ({ orders, stock }) => {
      await stock.query('insert into t values (2)')
      await orders.query('insert into t values (2)')
      await orders.query('delete from assent.mark')
    })
    const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
    expect(error.message).toMatch(/its claim is gone/)
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([1, 1])
    expect(await shop.stock.prepared()).toEqual([])
  })

  test('a role of its own for the function keeps it from all of them', async () => {
    const of = await shopOfRole()
    const lesser = `${of.role}_work`
    for (const database of [of.orders, of.stock]) {
      await database.sql(`create role ${lesser}`)
      await database.sql(`grant select, insert on t to ${lesser}`)
      await database.sql(`grant ${lesser} to ${of.role}`)
    }
    onTestFinished(async () => {
      for (const database of [of.orders, of.stock]) {
        await database.sql(`drop owned by ${lesser}`)
        await database.sql(`drop role ${lesser}`)
      }
    })
    const write = (misuse: boolean): Promise<void> =>
      of.assent.transaction(async ({ orders, stock }) => {
        for (const handle of [orders, stock]) {
          await handle.query(`set local role ${lesser}`)
          await handle.query('insert into t values (1)')
        }
        if (misuse) await stock.query('delete from assent.mark')
      })
    await write(false)
    expect(await rejection(write(true))).toMatchObject({ code: '42501' })
    expect([await of.orders.count(), await of.stock.count()]).toEqual([1, 1])
    expect(await of.orders.sql('select count(*)::int as n from assent.mark')).toEqual([{ n: 1 }])
  })
})
