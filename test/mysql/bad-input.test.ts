/**
 * What users of MySQL and MariaDB do that can't work, and what they are told.
 */
import { createPool } from 'mysql2'
import { createPool as createPromisePool } from 'mysql2/promise'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AssentError, createAssent } from 'assent'
import { mariadb } from 'assent/mariadb'
import { mysql2 } from 'assent/mysql2'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { refusal, rejection } from '../support/assent.ts'
import { freshMariadb } from '../support/mariadb-databases.ts'
import type { MariadbDatabase } from '../support/mariadb-databases.ts'
import { freshApp, openPairing } from '../support/pairs.ts'
import type { AnyHandle } from '../support/pairs.ts'

const INSERT = 'insert into t values (1)'

describe('inside a transaction on MariaDB', () => {
  test.each(['commit', 'start transaction', 'set autocommit=0', "xa end 'x'"])(
    '%s is refused, with advice',
    async (text) => {
      const { assent, stores } = await openPairing({ stock: 'mariadb by mysql2' })
      const error = await refusal(
        assent.transaction(async ({ stock }) => {
          await stock.query(INSERT)
          await stock.query(text)
        }),
        'ASSENT_TRANSACTION_CONTROL',
      )
      expect(error.message).toMatch(/on stock was refused: transaction\(\) begins and ends/)
      expect(await stores.stock.count()).toBe(0)
    },
  )

  test.each(['create table u (x int)', 'truncate t', 'lock tables t write'])(
    '%s is refused: the server would commit with it',
    async (text) => {
      const { assent, stores } = await openPairing({ stock: 'mariadb by mariadb' })
      const error = await refusal(
        assent.transaction(async ({ stock }) => {
          await stock.query(INSERT)
          await stock.query(text)
        }),
        'ASSENT_TRANSACTION_CONTROL',
      )
      expect(error.message).toMatch(/commit the transaction with it\. Run it outside/)
      expect(await stores.stock.count()).toBe(0)
    },
  )

  test('what the text does not show the server refuses, and nothing is committed by it', async () => {
    const { assent, stores } = await openPairing({
      stock: 'mariadb with a binary log',
      orders: 'postgres',
    })
    await stores.stock.sql('create procedure p() begin insert into t values (2); commit; end')
    const caught = await rejection(
      assent.transaction(async ({ stock, orders }) => {
        await orders.query(INSERT)
        await stock.query(INSERT)
        await stock.query('call p()')
      }),
    )
    expect(caught).toMatchObject({ errno: 1399 })
    expect([await stores.stock.count(), await stores.orders.count()]).toEqual([0, 0])
  })

  test('a statement that failed undoes itself alone: its error may be caught', async () => {
    const { assent, stores } = await openPairing({ a: 'mariadb by mysql2', b: 'postgres' })
    await stores.a.sql('create table u (x int primary key) engine = innodb')
    await assent.transaction(async ({ a, b }) => {
      await a.query('insert into u values (1)')
      expect(await rejection(a.query('insert into u values (1)'))).toMatchObject({ errno: 1062 })
      await a.query(INSERT)
      await b.query(INSERT)
    })
    expect([await stores.a.count(), await stores.b.count()]).toEqual([1, 1])
    expect(await stores.a.sql('select x from u')).toEqual([{ x: 1 }])
  })

  test('a declared reader can’t be ended by what it runs either', async () => {
    const { assent, stores } = await openPairing({ stock: 'mariadb by mysql2' })
    const caught = await rejection(
      assent.transaction(
        async ({ stock }) => {
          await stock.query("execute immediate 'commit'")
        },
        { reads: ['stock'] },
      ),
    )
    expect(caught).toMatchObject({ errno: 1399 })
    expect(await stores.stock.count()).toBe(0)
  })

  test('a connection that somebody gave back inside a transaction is replaced', async () => {
    const database = await freshMariadb('maria', { connectionLimit: 1 })
    const forgotten = await database.pool.getConnection()
    await forgotten.query('begin')
    await forgotten.query('insert into t values (7)')
    forgotten.release()
    const assent = createAssent({
      app: freshApp(),
      participants: { stock: mysql2(database.pool, { schema: database.name }) },
    })
    onTestFinished(() => assent.close())
    await assent.transaction(({ stock }) => stock.query('select 1'), { reads: ['stock'] })
    expect(await database.count()).toBe(0)
  })

  test('savepoints work', async () => {
    const { assent, stores } = await openPairing({ stock: 'mariadb by mysql2' })
    await assent.transaction(async ({ stock }) => {
      for (const text of [INSERT, 'savepoint a', INSERT, 'rollback to a', INSERT]) {
        await stock.query(text)
      }
    })
    expect(await stores.stock.count()).toBe(2)
  })

  test('a guarded connection runs statements, and leaves the transaction alone', async () => {
    const database = await freshMariadb('maria')
    const assent = createAssent({
      app: freshApp(),
      participants: { stock: mysql2(database.pool, { schema: database.name }) },
    })
    onTestFinished(() => assent.close())
    await assent.transaction(async ({ stock }) => {
      const { connection } = stock
      const [rows] = await connection.query('select 1 as one')
      expect(rows).toEqual([{ one: 1 }])
      await connection.execute('insert into t values (?)', [1])
      connection.release()
      await connection.execute('insert into t values (?)', [2])
      for (const method of ['commit', 'rollback', 'beginTransaction'] as const) {
        await refusal(connection[method](), 'ASSENT_TRANSACTION_CONTROL')
      }
      expect(connection.escape("it's")).toBe("'it\\'s'")
    })
    expect(await database.count()).toBe(2)
  })
})

describe('a participant is refused', () => {
  const thrown = (make: () => unknown): AssentError => {
    try {
      make()
    } catch (error) {
      if (error instanceof AssentError) return error
      throw error
    }
    throw new Error('nothing was thrown')
  }

  test('for a pool with callbacks', () => {
    const pool = createPool('mysql://root@127.0.0.1:1/x')
    const error = thrown(() => mysql2(pool as never))
    expect(error).toMatchObject({ code: 'ASSENT_OPTION', outcome: 'aborted' })
    expect(error.message).toMatch(/mysql2\/promise, or pool\.promise\(\)/)
  })

  test.each([null, 'mysql://root:secret@x', {}, 5])('for what is no pool: %s', (given) => {
    const makers = [() => mysql2(given as never), () => mariadb(given as never, {} as never)]
    for (const make of makers) {
      const error = thrown(make)
      expect(error.code).toBe('ASSENT_OPTION')
      expect(error.message).not.toMatch(/secret/)
    }
  })

  test('for options that are unknown or wrong', () => {
    const pool = createPromisePool('mysql://root@127.0.0.1:1/x')
    const codes = [
      { shema: 'x' },
      { schema: 'a b' },
      { schema: '' },
      { failover: 'yes' },
      { statements: 1 },
    ].map((options) => thrown(() => mysql2(pool, options as never)).code)
    expect(new Set(codes)).toEqual(new Set(['ASSENT_OPTION']))
  })

  test('of the driver mariadb, without a way to connect beside its pool', async () => {
    const database = await freshMariadb('maria')
    const error = thrown(() => mariadb(database.connector(), {} as never))
    expect(error.message).toMatch(/connect: \(\) => createConnection\(settings\)/)
  })
})

describe('a server is refused before anything is marked', () => {
  async function withUser(
    database: MariadbDatabase,
    grants: readonly string[],
  ): Promise<{ error: AssentError; other: () => Promise<number> }> {
    const user = `u_${database.name}`.slice(0, 30)
    await database.sql(`create user ${user}@'%' identified by 'hidden'`)
    onTestFinished(async () => {
      await database.sql(`drop user ${user}@'%'`)
    })
    for (const grant of grants) await database.sql(`grant ${grant} to ${user}@'%'`)
    const { hostname, port } = new URL(database.url)
    const pool = createPromisePool(`mysql://${user}:hidden@${hostname}:${port}/${database.name}`)
    onTestFinished(() => pool.end())
    const other = await freshMariadb('mariaBinlog')
    const assent = createAssent({
      app: freshApp(),
      participants: {
        stock: mysql2(pool, { schema: database.name }),
        orders: mysql2(other.pool, { schema: other.name }),
      },
      onReport: () => undefined,
    })
    onTestFinished(() => assent.close())
    const error = await rejection(
      assent.transaction(async ({ stock, orders }) => {
        await (orders as AnyHandle).query(INSERT)
        await (stock as AnyHandle).query(INSERT)
      }),
    )
    if (!(error instanceof AssentError)) throw error as Error
    return { error, other: () => other.count() }
  }

  test('when its user may not create the tables: the error has the SQL', async () => {
    const database = await freshMariadb('maria')
    const { error, other } = await withUser(database, [`insert on ${database.name}.t`])
    expect(error).toMatchObject({ code: 'ASSENT_SCHEMA_MISSING', outcome: 'aborted' })
    expect(error.message).toMatch(/CREATE TABLE IF NOT EXISTS `t_.*`\.mark/)
    expect(error.message).not.toMatch(/hidden/)
    expect(await other()).toBe(0)
  })

  test('when its user may not write them', async () => {
    const database = await freshMariadb('maria')
    const participant = mysql2(database.pool, { schema: database.name }).open({
      app: 'x',
      name: 'stock',
      world: nodeWorld,
      retentionMs: 86_400_000,
    })
    await participant.migrate({ print: false })
    await participant.close()
    const { error } = await withUser(database, [
      `insert, select on ${database.name}.t`,
      `select on ${database.name}.*`,
    ])
    expect(error).toMatchObject({ code: 'ASSENT_PRIVILEGE', outcome: 'aborted' })
    expect(error.message).toMatch(/Grant its user SELECT, INSERT, UPDATE and DELETE on `t_/)
  })

  test('when it is configured twice', async () => {
    const [one, two] = [await freshMariadb('maria'), await freshMariadb('maria')]
    const assent = createAssent({
      app: freshApp(),
      participants: {
        a: mysql2(one.pool, { schema: one.name }),
        b: mysql2(two.pool, { schema: two.name }),
      },
    })
    onTestFinished(() => assent.close())
    const error = await refusal(
      assent.transaction(async ({ a, b }) => {
        await a.query(INSERT)
        await b.query(INSERT)
      }),
      'ASSENT_SAME_DATABASE',
    )
    expect(error.message).toMatch(/a and b are the same/)
    expect([await one.count(), await two.count()]).toEqual([0, 0])
  })

  test('when nobody answers, or the password is wrong', async () => {
    const database = await freshMariadb('maria')
    const wrong = new URL(database.url)
    wrong.password = 'hidden'
    const gone = new URL(database.url)
    gone.port = '1'
    for (const [url, code] of [
      [wrong, 'ASSENT_CREDENTIALS'],
      [gone, 'ASSENT_UNREACHABLE'],
    ] as const) {
      const pool = createPromisePool(url.href)
      onTestFinished(() => pool.end())
      const assent = createAssent({
        app: freshApp(),
        participants: { stock: mysql2(pool, { schema: database.name }) },
        onReport: () => undefined,
      })
      onTestFinished(() => assent.close())
      const error = await refusal(
        assent.transaction(({ stock }) => stock.query(INSERT)),
        code,
      )
      expect(error.message).not.toMatch(/hidden/)
    }
  })
})
