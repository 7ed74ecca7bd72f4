/**
 * BEGIN travels with the first statement. Whatever that statement is, and whatever happens on the way,
 * it behaves as it would by itself, and nothing runs outside of the transaction.
 */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type pg from 'pg'
import { openShop, rejection, writeBoth } from '../support/assent.ts'
import type { TestDatabase } from '../support/databases.ts'
import { Wire } from '../../src/systems/pg/wire.ts'
import type { PgClient } from '../../src/systems/pg/driver.ts'

/** A value that node-postgres can't write. */
const UNWRITABLE = {
  toPostgres() {
    throw new Error('no such value')
  },
}

/**
 * Ends every session of the pool while this process stands still, so that its connections are dead
 * without knowing it.
 */
function killSessions(database: TestDatabase): void {
  const program = `const { Client } = require('pg')
    const client = new Client({ connectionString: process.argv[1] })
    client.connect()
      .then(() => client.query(\`select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()\`))
      .then(() => client.end())`
  const { status } = spawnSync(process.execPath, ['-e', program, database.url])
  expect(status).toBe(0)
}

/** As a function of the user's might: no tag tells of it. */
async function forgetNames(database: TestDatabase, connections: number): Promise<void> {
  const clients = await Promise.all(
    Array.from({ length: connections }, () => database.pool.connect()),
  )
  for (const client of clients) {
    await client.query(`do $$ begin execute 'deallocate all'; end $$`)
    client.release()
  }
}

describe('what was thrown and can’t have a stack', () => {
  const thrown = { text: 'no number', frozen: Object.freeze(new Error('no number')) } as const
  test.each(['text', 'frozen'] as const)('by a type parser, %s: it is told', async (which) => {
    const { assent } = await openShop()
    const types = {
      getTypeParser: () => () => {
        throw thrown[which] as Error
      },
    }
    const work = assent.transaction((db) => db.orders.query({ text: 'select 1', types } as never))
    expect(await rejection(work)).toBe(thrown[which])
  })

  test.each(['text', 'frozen'] as const)('by a value, %s: the next comes first', async (which) => {
    const { assent, orders } = await openShop()
    const value = {
      toPostgres() {
        throw thrown[which] as Error
      },
    }
    await assent.transaction(async (db) => {
      expect(await rejection(db.orders.query('select $1::text', [value]))).toBe(thrown[which])
      await db.orders.query('insert into t values (1)')
    })
    expect(await orders.count()).toBe(1)
  })
})

test('behind somebody’s query whose connection dies: it runs on another one', async () => {
  const shop = await openShop({}, { orders: { max: 1 } })
  await writeBoth(shop)
  const client = await shop.orders.pool.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const slow = rejection(client.query('select pg_sleep(600)'))
  client.release()
  const work = shop.assent.transaction((db) => db.orders.query('insert into t values (5)'))
  await shop.orders.sql('select pg_terminate_backend($1)', [rows[0]?.pid])
  await work
  await slow
  expect(await shop.orders.count()).toBe(2)
})

describe('several statements at once', () => {
  test('none runs outside of the transaction, though the first can’t be written and BEGIN fails', async () => {
    const { assent, orders } = await openShop({}, { orders: { max: 2 } })
    const both = Promise.withResolvers<undefined>()
    let begun = 0
    const hold = async (): Promise<void> => {
      await assent.transaction(async (db) => {
        await db.orders.query('select 1')
        begun += 1
        if (begun === 2) both.resolve(undefined)
        await both.promise
      })
    }
    await Promise.all([hold(), hold()])
    await forgetNames(orders, 2)
    const work = assent.transaction(async (db) => {
      await Promise.allSettled([
        db.orders.query('insert into t values ($1)', [UNWRITABLE]),
        db.orders.query('insert into t values (1)'),
        db.orders.query('insert into t values (2)'),
      ])
      throw new Error('roll back')
    })
    expect(await rejection(work)).toMatchObject({ message: 'roll back' })
    expect(await orders.sql('select x from t')).toEqual([])
  })

  test('run in the order of their calls, on a connection that turned out to be dead', async () => {
    const shop = await openShop({}, { orders: { max: 1 } })
    await writeBoth(shop)
    killSessions(shop.orders)
    await shop.assent.transaction(({ orders }) =>
      Promise.all([
        orders.query('savepoint a'),
        orders.query('insert into t values (2)'),
        orders.query('rollback to a'),
        orders.query('insert into t values (3)'),
      ]),
    )
    expect(await shop.orders.sql('select x from t order by x')).toEqual([{ x: 1 }, { x: 3 }])
  })

  test('go on after one that can’t be written, as without Assent', async () => {
    const { assent, orders } = await openShop()
    await assent.transaction(async (db) => {
      const error = await rejection(db.orders.query('insert into t values ($1)', [UNWRITABLE]))
      expect(error).toMatchObject({ message: 'no such value' })
      await db.orders.query('insert into t values (1)')
    })
    expect(await orders.count()).toBe(1)
  })
})

describe('a first statement', () => {
  test('whose query_timeout fires ran once, and fails with the driver’s own error', async () => {
    const { assent, orders } = await openShop({}, { orders: { query_timeout: 300 } })
    await orders.sql('create sequence s')
    await assent.transaction((db) => db.orders.query('select 1'))
    const slow = `select nextval('s'), pg_sleep(1)`
    const error = await rejection(assent.transaction((db) => db.orders.query(slow)))
    expect(error).toMatchObject({ message: 'Query read timeout' })
    await orders.sql('select pg_sleep(1.2)')
    expect(await orders.sql('select last_value::int as runs from s')).toEqual([{ runs: 1 }])
    const own = { text: 'select pg_sleep(1)', query_timeout: 100 }
    expect(await rejection(assent.transaction((db) => db.orders.query(own)))).toMatchObject({
      message: 'Query read timeout',
    })
  })

  test('changes the role on the connection that it ends up on', async () => {
    const shop = await openShop({}, { orders: { max: 1 } })
    const role = `role_${randomUUID().replaceAll('-', '')}`
    await shop.orders.sql(`create role ${role}; grant all on t to ${role}`)
    await writeBoth(shop)
    killSessions(shop.orders)
    await shop.assent.transaction(async ({ orders, stock }) => {
      await orders.query(`set local role ${role}`)
      await orders.query('insert into t values (2)')
      await stock.query('insert into t values (2)')
    })
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([2, 2])
    await shop.orders.sql(`drop owned by ${role}; drop role ${role}`)
  })

  test('behind somebody else’s, which he did not await, is not taken for his', async () => {
    const { assent, orders } = await openShop({}, { orders: { max: 1 } })
    await assent.transaction((db) => db.orders.query('select 1'))
    orders.pool.on('acquire', (client) => {
      void client.query("set application_name = 'mine'")
    })
    await assent.transaction((db) => db.orders.query('insert into t values (1)'))
    expect(await orders.count()).toBe(1)
  })

  test('without values has its rows as text, even in a pool with binary: true', async () => {
    const { assent } = await openShop({}, { orders: { binary: true } as pg.PoolConfig })
    const { rows } = await assent.transaction((db) =>
      db.orders.query<{ n: string }>('select 1.50::numeric as n'),
    )
    expect(rows).toEqual([{ n: '1.50' }])
  })

  test.each(['copy t from stdin', '  COPY t TO stdout', 'select 1; select 2', ''])(
    'that can’t travel goes after a BEGIN of its own: %j',
    async (text) => {
      const { assent } = await openShop()
      const work = assent.transaction(async (db) => {
        await db.orders.query(text).catch(() => undefined)
      })
      if (!text.includes('from stdin')) {
        await work
        return
      }
      // As the driver answers it anywhere, and at once: nobody sends the data.
      expect(await rejection(work)).toMatchObject({ code: 'ASSENT_SWALLOWED_ERROR' })
    },
  )

  test('fails with a stack that leads to the program', async () => {
    const { assent } = await openShop()
    const here = async (): Promise<unknown> =>
      rejection(assent.transaction((db) => db.orders.query('select 1/0')))
    expect((await here()) as Error).toMatchObject({ code: '22012' })
    expect(((await here()) as Error).stack).toMatch(/begin-with\.ts|first-statement/)
  })

  test('DEALLOCATE ALL makes our names doubtful, and they are parsed again', async () => {
    const shop = await openShop({}, { orders: { max: 1 }, stock: { max: 1 } })
    await writeBoth(shop)
    await shop.assent.transaction((db) => db.orders.query('deallocate all'))
    await forgetNames(shop.stock, 1)
    await writeBoth(shop)
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([2, 2])
  })
})

test('a name can only ever mean one text: another copy of Assent may use the connection', async () => {
  const { orders } = await openShop({}, { orders: { max: 1 } })
  const client = await orders.pool.connect()
  const { connection } = client as unknown as PgClient
  const written: string[] = []
  const { stream } = connection
  const write = stream.write.bind(stream)
  stream.write = (bytes) => {
    written.push(Buffer.from(bytes).toString('latin1'))
    return write(bytes)
  }
  const wire = Wire.of(connection)
  wire.naming = 'allowed'
  for (const text of ['SELECT 1', 'SELECT 2']) wire.write([], [{ text, again: true }])
  const names = written.map((bytes) => /assent_[\w-]{22}/.exec(bytes)?.[0])
  expect(names[0]).toMatch(/^assent_/)
  expect(names[1]).toMatch(/^assent_/)
  expect(names[0]).not.toBe(names[1])
  client.release(true)
})

test('a large first statement is not copied to leave in one piece', async () => {
  const { assent, orders } = await openShop({}, { orders: { max: 1 } })
  await orders.sql('create table large (x text)')
  await assent.transaction((db) => db.orders.query('select 1'))
  const client = (await orders.pool.connect()) as pg.PoolClient & { connection: pg.Connection }
  const { stream } = client.connection
  const write = stream.write.bind(stream) as (bytes: Buffer) => boolean
  const pieces: number[] = []
  stream.write = (bytes: Buffer) => {
    pieces.push(bytes.length)
    return write(bytes)
  }
  client.release()
  const insert = (length: number): Promise<unknown> =>
    assent.transaction((db) =>
      db.orders.query('insert into large values ($1)', ['x'.repeat(length)]),
    )
  await insert(10)
  const [small] = pieces.splice(0)
  await insert(100_000)
  expect(pieces[0]).toBeLessThan(small ?? 0)
  expect(Math.max(...pieces)).toBeGreaterThan(100_000)
  expect(await orders.sql('select length(x) from large')).toEqual([
    { length: 10 },
    { length: 100_000 },
  ])
})
