import { describe, expect, test } from 'vitest'
import { AssentError, createAssent } from 'assent'
import type { Plan } from 'assent'
import { pg as participant } from 'assent/pg'
import { openShop, refusal, rejection, writeBoth, expectNothing } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'

describe('a transaction over two databases', () => {
  test('commits in both, with one mark in each and nothing left prepared', async () => {
    const shop = await openShop()
    const txid = await writeBoth(shop)
    expect(await shop.orders.count()).toBe(1)
    expect(await shop.stock.count()).toBe(1)
    const marks = 'select txid, decision, register, participants::text from assent.mark'
    const mark = { txid, decision: 'commit', register: 'orders', participants: '{orders,stock}' }
    expect(await shop.orders.sql(marks)).toEqual([mark])
    expect(await shop.stock.sql(marks)).toEqual([mark])
    expect(await shop.stock.prepared()).toEqual([])
  })

  test('resolves with what the function returned, after onCommitted has run', async () => {
    const { assent, stock } = await openShop()
    const seen: (number | Plan | undefined)[] = []
    const value = await assent.transaction(async (db, tx) => {
      await db.stock.query('insert into t values (1)')
      await db.orders.query('insert into t values (1)')
      tx.onCommitted(async () => {
        seen.push(await stock.count(), tx.plan)
      })
      expect(tx.plan).toBeUndefined()
      return 42
    })
    expect(value).toBe(42)
    expect(seen).toEqual([
      1,
      { protocol: 'two-phase', decider: 'orders', voters: ['stock'], readers: [] },
    ])
  })

  test('rolls back everywhere and rethrows what the function threw, as it is', async () => {
    const { assent, orders, stock } = await openShop()
    const thrown = new Error('sold out')
    const caught = await rejection(
      assent.transaction(async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query('insert into t values (1)')
        throw thrown
      }),
    )
    expect(caught).toBe(thrown)
    await expectNothing(orders, stock)
  })

  test.each([
    ['a voter', 'orders', /stock refused: duplicate key.*orders: rolled back \(decider\)/],
    ['the decider', 'stock', /stock refused: duplicate key.*stock: rolled back \(decider\)/],
  ] as const)('rolls back when a deferred constraint of %s fails', async (_who, decider, said) => {
    const { assent, orders, stock } = await openShop()
    await stock.sql('create table u (x int unique deferrable initially deferred)')
    const error = await refusal(
      assent.transaction(
        async (db) => {
          await db.orders.query('insert into t values (1)')
          await db.stock.query('insert into u values (1), (1)')
        },
        { decider },
      ),
      'ASSENT_REFUSED',
    )
    expect(error.message).toMatch(said)
    await expectNothing(orders, stock)
  })

  test('drains statements that were not awaited', async () => {
    const { assent, orders, stock } = await openShop()
    await assent.transaction((db) => {
      void db.orders.query('select pg_sleep(0.2)')
      void db.orders.query('insert into t values (1)')
      void db.stock.query('insert into t values (1)')
    })
    expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  })

  test('keeps the decider that was asked for, and the second that joined otherwise', async () => {
    const { assent } = await openShop()
    const decider = async (options: { decider?: 'orders' | 'stock' }): Promise<unknown> => {
      let plan: Plan | undefined
      await assent.transaction(async (db, tx) => {
        await db.stock.query('insert into t values (1)')
        await db.orders.query('insert into t values (1)')
        tx.onCommitted(() => (plan = tx.plan))
      }, options)
      return plan?.protocol === 'two-phase' ? plan.decider : plan
    }
    expect(await decider({})).toBe('orders')
    expect(await decider({ decider: 'stock' })).toBe('stock')
  })

  test.each(['read committed', 'repeatable read', 'serializable'] as const)(
    'works under %s from the very first transaction on',
    async (branchIsolation) => {
      const shop = await openShop({ branchIsolation })
      await writeBoth(shop)
      const isolation = await shop.assent.transaction(async ({ orders }) => {
        const { rows } = await orders.query<{ is: string }>(
          "select current_setting('transaction_isolation') as is",
        )
        return rows[0]?.is
      })
      expect(isolation).toBe(branchIsolation)
    },
  )

  test('declared readers are read only, unmarked, and out of the vote', async () => {
    const { assent, orders, stock } = await openShop()
    let plan: Plan | undefined
    await assent.transaction(
      async (db, tx) => {
        await db.orders.query('select * from t')
        await db.stock.query('insert into t values (1)')
        tx.onCommitted(() => (plan = tx.plan))
      },
      { reads: ['orders'] },
    )
    expect(plan).toEqual({ protocol: 'one-phase', readers: ['orders'], writers: ['stock'] })
    expect(await stock.count()).toBe(1)
    const written = assent.transaction((db) => db.orders.query('insert into t values (1)'), {
      reads: ['orders'],
    })
    expect(await rejection(written)).toMatchObject({ code: '25006' })
    const opened = assent.transaction((db) => db.orders.query('set transaction read write'), {
      reads: ['orders'],
    })
    await refusal(opened, 'ASSENT_TRANSACTION_CONTROL')
    await expectNothing(orders)
  })

  test('resolves at the decision when asked to, and applies in the background', async () => {
    const shop = await openShop({ resolveWhen: 'decided' })
    await writeBoth(shop)
    await expect.poll(() => shop.stock.count()).toBe(1)
    expect(await shop.stock.prepared()).toEqual([])
  })

  test('a user function that touches no database commits nothing and resolves', async () => {
    const { assent } = await openShop()
    expect(await assent.transaction(() => 7)).toBe(7)
  })

  test('any number of participants', async () => {
    const databases = await Promise.all([
      freshDatabase('first'),
      freshDatabase('first'),
      freshDatabase('second'),
      freshDatabase('second'),
    ])
    const [a, b, c, d] = databases.map((database) => participant(database.pool))
    await using assent = createAssent({
      app: 'many',
      participants: { a: a!, b: b!, c: c!, d: d! },
    })
    await assent.transaction(async (db) => {
      await Promise.all(
        [db.a, db.b, db.c, db.d].map((handle) => handle.query('insert into t values (1)')),
      )
    })
    for (const database of databases) {
      expect(await database.count()).toBe(1)
      expect(await database.prepared()).toEqual([])
    }
  })
})

describe('one database alone', () => {
  test('needs no schema, no privilege and no setting', async () => {
    const database = await freshDatabase('unprepared')
    const role = `plain_${database.name}`
    await database.sql(`create role ${role} login password 'plain'`)
    await database.sql(`grant insert, select on t to ${role}`)
    const url = new URL(database.url)
    url.username = role
    url.password = 'plain'
    const { default: pg } = await import('pg')
    const pool = new pg.Pool({ connectionString: url.href })
    const assent = createAssent({ app: 'solo', participants: { only: participant(pool) } })
    await assent.transaction((db) => db.only.query('insert into t values (1)'))
    await assent.close()
    await pool.end()
    expect(await database.count()).toBe(1)
    expect(await database.sql("select to_regnamespace('assent') as schema")).toEqual([
      { schema: null },
    ])
    await database.sql(`drop owned by ${role}`)
    await database.sql(`drop role ${role}`)
  })
})

describe('a database that can’t prepare', () => {
  test('decides, whoever joined first', async () => {
    const [orders, stock] = await Promise.all([freshDatabase('first'), freshDatabase('unprepared')])
    await using assent = createAssent({
      app: 'shop',
      participants: { orders: participant(orders.pool), stock: participant(stock.pool) },
    })
    let plan: Plan | undefined
    await assent.transaction(async (db, tx) => {
      await db.orders.query('insert into t values (1)')
      await db.stock.query('insert into t values (1)')
      tx.onCommitted(() => (plan = tx.plan))
    })
    expect(plan).toMatchObject({ decider: 'stock', voters: ['orders'] })
    expect([await orders.count(), await stock.count()]).toEqual([1, 1])
    const wrong = assent.transaction(
      async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query('insert into t values (1)')
      },
      { decider: 'orders' },
    )
    expect((await refusal(wrong, 'ASSENT_CANNOT_PREPARE')).message).toMatch(/stock wrote/)
  })

  test('two of them that both wrote are refused before anything is prepared', async () => {
    const [a, b] = await Promise.all([freshDatabase('unprepared'), freshDatabase('unprepared')])
    await using assent = createAssent({
      app: 'shop',
      participants: { a: participant(a.pool), b: participant(b.pool) },
    })
    const error = await refusal(
      assent.transaction(async (db) => {
        await db.a.query('insert into t values (1)')
        await db.b.query('insert into t values (1)')
      }),
      'ASSENT_CANNOT_PREPARE',
    )
    expect(error.message).toMatch(/a and b wrote.*Set max_prepared_transactions/)
    await expectNothing(a, b)
  })

  test('what PREPARE refuses (NOTIFY) can decide, and the error says so', async () => {
    const { assent, orders, stock } = await openShop()
    const work = async (
      db: Parameters<Parameters<typeof assent.transaction>[0]>[0],
    ): Promise<void> => {
      await db.stock.query("select pg_notify('news', 'x')")
      await db.orders.query('insert into t values (1)')
    }
    const error = await refusal(assent.transaction(work), 'ASSENT_REFUSED')
    expect(error.message).toMatch(/decider: 'stock'/)
    await expectNothing(orders, stock)
    await assent.transaction(work, { decider: 'stock' })
    expect(await orders.count()).toBe(1)
  })
})

describe('time and retries', () => {
  test('a transaction that takes too long is aborted everywhere', async () => {
    const { assent, orders, stock } = await openShop()
    const error = await refusal(
      assent.transaction(
        async (db) => {
          await db.orders.query('insert into t values (1)')
          await db.stock.query('insert into t values (1)')
          await db.stock.query('select pg_sleep(30)')
        },
        { timeoutMs: 300 },
      ),
      'ASSENT_TIMEOUT',
    )
    expect(error.message).toMatch(/300 ms/)
    await expectNothing(orders, stock)
  })

  test('a signal aborts it, with the reason as cause', async () => {
    const { assent, orders, stock } = await openShop()
    const controller = new AbortController()
    const reason = new Error('shutting down')
    const error = await refusal(
      assent.transaction(
        async (db) => {
          await db.orders.query('insert into t values (1)')
          controller.abort(reason)
          await db.stock.query('insert into t values (1)')
        },
        { signal: controller.signal },
      ),
      'ASSENT_CANCELLED',
    )
    expect(error.cause).toBe(reason)
    await expectNothing(orders, stock)
  })

  test('a full pool does not hold the other database’s connection beyond the deadline (fault 75)', async () => {
    const { assent, orders, stock } = await openShop({}, { stock: { max: 1 } })
    const taken = await stock.pool.connect()
    await refusal(
      assent.transaction(
        async (db) => {
          await db.orders.query('insert into t values (1)')
          await db.stock.query('insert into t values (1)')
        },
        { timeoutMs: 300 },
      ),
      'ASSENT_TIMEOUT',
    )
    await expectNothing(orders)
    taken.release()
    await expect.poll(() => stock.pool.idleCount).toBe(1)
  })

  test('runs again after a serialization failure, under a new txid', async () => {
    const { assent, orders } = await openShop()
    await orders.sql('insert into t values (0)')
    const ids: string[] = []
    await assent.transaction(
      async (db, tx) => {
        ids.push(tx.id)
        const { rows } = await db.orders.query<{ x: number }>('select x from t')
        if (ids.length === 1) await orders.sql('update t set x = 10')
        await db.orders.query('update t set x = $1', [(rows[0]?.x ?? 0) + 1])
        await db.stock.query('insert into t values (1)')
      },
      { branchIsolation: 'serializable', retry: { attempts: 3, firstMs: 1 } },
    )
    expect(new Set(ids).size).toBe(2)
    expect(await orders.sql('select x from t')).toEqual([{ x: 11 }])
  })

  test('does not run again after the user’s own abort', async () => {
    const { assent, orders, stock } = await openShop()
    let runs = 0
    const error = await refusal(
      assent.transaction(
        async (db, tx) => {
          runs += 1
          await db.orders.query('insert into t values (1)')
          throw tx.abort('sold out')
        },
        { retry: { attempts: 5, firstMs: 1 } },
      ),
      'ASSENT_ABORTED',
    )
    expect({ runs, message: error.message }).toEqual({ runs: 1, message: 'sold out' })
    await expectNothing(orders, stock)
  })

  test('a failing onCommitted changes nothing, and is reported', async () => {
    const { assent, stock, reports } = await openShop()
    await assent.transaction(async (db, tx) => {
      await db.stock.query('insert into t values (1)')
      tx.onCommitted(() => {
        throw new Error('cache is down')
      })
    })
    expect(await stock.count()).toBe(1)
    expect(reports).toEqual([
      expect.objectContaining({ type: 'on-committed-failed', error: new Error('cache is down') }),
    ])
  })
})

test('errors are recognised across copies of the package', () => {
  const foreign = Object.defineProperty(new Error('x'), Symbol.for('assent.error'), { value: true })
  expect(foreign).toBeInstanceOf(AssentError)
})

test('a hook that hangs keeps nobody waiting beyond the time-out', async () => {
  const { assent, orders } = await openShop()
  const over = Promise.withResolvers<undefined>()
  const value = await assent.transaction(
    async (db, tx) => {
      await db.orders.query('insert into t values (1)')
      tx.onCommitted(() => over.promise)
      return 'done'
    },
    { timeoutMs: 1_000 },
  )
  expect(value).toBe('done')
  expect(await orders.count()).toBe(1)
  over.resolve(undefined)
})
