import { describe, expect, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import type { AssentError } from 'assent'
import { pg as participant } from 'assent/pg'
import { expectNothing, openShop, refusal, rejection, writeBoth } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'

const SECRET = 'pass-word-9f2c'

describe('Assent’s tables', () => {
  async function refused(database: TestDatabase, prepare: string): Promise<AssentError> {
    const orders = await freshDatabase('first')
    await using assent = createAssent({
      app: 'shop',
      participants: { orders: participant(orders.pool), stock: participant(database.pool) },
    })
    await assent.migrate()
    await database.sql(prepare)
    // A new object: the first has checked the tables already.
    await using next = createAssent({
      app: 'shop',
      participants: { orders: participant(orders.pool), stock: participant(database.pool) },
    })
    const error = await rejection(
      next.transaction(async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query('insert into t values (1)')
      }),
    )
    expect(await orders.count()).toBe(0)
    expect(await orders.prepared()).toEqual([])
    return error as AssentError
  }

  test('of another version', async () => {
    const error = await refused(
      await freshDatabase('second'),
      'update assent.database set version = 7',
    )
    expect(error).toMatchObject({ code: 'ASSENT_SCHEMA_VERSION', outcome: 'aborted' })
    expect(error.message).toMatch(/version 7.*needs 1/)
  })

  test('changed by hand', async () => {
    const error = await refused(
      await freshDatabase('second'),
      'alter table assent.database drop column origin',
    )
    expect(error.code).toBe('ASSENT_SCHEMA_VERSION')
  })

  test('unlogged', async () => {
    const error = await refused(
      await freshDatabase('second'),
      'alter table assent.mark set unlogged',
    )
    expect(error.code).toBe('ASSENT_NOT_DURABLE')
    expect(error.message).toMatch(/not logged: mark/)
  })

  test('gone while a process runs: the transaction aborts and says so', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.stock.sql('drop schema assent cascade')
    const error = await refusal(writeBoth(shop), 'ASSENT_SCHEMA_MISSING')
    expect(error).toMatchObject({ retryable: true })
    expect(error.message).toMatch(/tables in stock are gone.*checks them anew/)
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([1, 1])
    await writeBoth(shop)
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([2, 2])
  })

  test('can’t be created by this role: the error has the SQL; once created, it may use them', async () => {
    const orders = await freshDatabase('first')
    const stock = await freshDatabase('second')
    const role = `role_${stock.name}`
    await stock.sql(`create role ${role} login password '${SECRET}'`)
    await stock.sql(`grant insert, select on t to ${role}`)
    const url = new URL(stock.url)
    url.username = role
    url.password = SECRET
    const pool = new pg.Pool({ connectionString: url.href })
    const open = (): ReturnType<typeof two> => two(orders.pool, pool)
    {
      await using assent = open()
      const error = await refusal(write(assent), 'ASSENT_SCHEMA_MISSING')
      expect(error.message).toMatch(/permission denied.*CREATE TABLE IF NOT EXISTS "assent".mark/s)
      const sql = (await assent.migrate({ print: true }))['stock'] ?? ''
      await stock.sql(sql)
      const denied = await refusal(write(assent), 'ASSENT_PRIVILEGE')
      expect(denied.message).toMatch(/GRANT|Grant/)
      await stock.sql(`grant usage on schema assent to ${role}`)
      await stock.sql(
        `grant select, insert, update, delete on all tables in schema assent to ${role}`,
      )
      await write(assent)
      expect([await orders.count(), await stock.count()]).toEqual([1, 1])
      expect(JSON.stringify(await rejection(assent.outcome('x')))).not.toContain(SECRET)
    }
    await pool.end()
    await stock.sql(`drop owned by ${role}`)
    await stock.sql(`drop role ${role}`)
  })
})

function two(orders: pg.Pool, stock: pg.Pool) {
  return createAssent({
    app: 'shop',
    participants: { orders: participant(orders), stock: participant(stock) },
    onReport: () => undefined,
  })
}

async function write(assent: ReturnType<typeof two>): Promise<void> {
  await assent.transaction(async (db) => {
    await db.orders.query('insert into t values (1)')
    await db.stock.query('insert into t values (1)')
  })
}

describe('the same database', () => {
  test('configured twice through two pools is refused before anything is marked', async () => {
    const database = await freshDatabase('first')
    const again = new pg.Pool({ connectionString: database.url })
    const assent = two(database.pool, again)
    await refusal(write(assent), 'ASSENT_SAME_DATABASE')
    await assent.close()
    await again.end()
    await expectNothing(database)
  })

  test('server with two databases works', async () => {
    const [a, b] = await Promise.all([freshDatabase('first'), freshDatabase('first')])
    const assent = two(a.pool, b.pool)
    await write(assent)
    await assent.close()
    expect([await a.count(), await b.count()]).toEqual([1, 1])
  })
})

describe('what the user’s session looks like', () => {
  test.each([
    ['a role without rights', 'set local role pg_monitor'],
    ['a role for the whole session', 'set role pg_monitor'],
    ['another search path', 'set local search_path = nowhere'],
    ['asynchronous commit (fault 60)', 'set synchronous_commit = off'],
    ['no warnings', 'set client_min_messages = error'],
  ])('%s does not disturb the commit path', async (_what, text) => {
    // Claimed with the first statement in stock; or in orders, after all work.
    for (const decider of ['stock', 'orders'] as const) {
      const { assent, orders, stock } = await openShop()
      await assent.migrate()
      await assent.transaction(
        async (db) => {
          await db.orders.query('insert into t values (1)')
          await db.stock.query('insert into t values (1)')
          await db.orders.query(text)
          await db.stock.query(text)
        },
        { decider },
      )
      expect([await orders.count(), await stock.count()]).toEqual([1, 1])
      expect([...(await orders.prepared()), ...(await stock.prepared())]).toEqual([])
    }
  })

  test('a hostile search path can’t make a forgotten epoch look listed', async () => {
    const shop = await openShop()
    await shop.assent.migrate()
    await shop.orders.sql(`create schema evil;
      create function evil.yes(text, text) returns boolean language sql as 'select true';
      create operator evil.= (leftarg = text, rightarg = text, function = evil.yes)`)
    await writeBoth(shop)
    await shop.orders.sql("update assent.epoch set server = '00000099'")
    await refusal(
      shop.assent.transaction(
        async ({ orders, stock }) => {
          await orders.query('set local search_path = evil, pg_catalog')
          await orders.query('insert into public.t values (2)')
          await stock.query('insert into t values (2)')
        },
        { decider: 'orders' },
      ),
      'ASSENT_STALE_EPOCH',
    )
  })
})
