import { expect, test } from 'vitest'
import pg from 'pg'
import { openShop, refusal } from '../support/assent.ts'

test('every form of query behaves as node-postgres documents it', async () => {
  const { assent, orders } = await openShop()
  const seen: unknown[] = []
  await assent.transaction(async (db) => {
    await db.orders.query('insert into t values ($1)', [1])
    seen.push((await db.orders.query<{ x: number }>('select x from t')).rows)
    seen.push((await db.orders.query({ text: 'select x from t', rowMode: 'array' })).rows)
    seen.push(
      (await db.orders.query({ name: 'named', text: 'select $1::int as y', values: [2] })).rows,
    )
    await new Promise<void>((resolve, reject) => {
      db.orders.query('select 3 as z', (error: Error | null, result) => {
        seen.push(result.rows)
        if (error === null) resolve()
        else reject(error)
      })
    })
  })
  expect(seen).toEqual([[{ x: 1 }], [[1]], [{ y: 2 }], [{ z: 3 }]])
  expect(await orders.count()).toBe(1)
})

test('a submitted Query is given back at once and emits its rows', async () => {
  const { assent } = await openShop()
  const rows: unknown[] = []
  await assent.transaction(async (db) => {
    const query = new pg.Query<{ n: number }>('select generate_series(1, 3) as n')
    const given: unknown = (db.orders.query as (query: unknown) => unknown)(query)
    expect(given).toBe(query)
    await new Promise<void>((resolve, reject) => {
      query.on('row', (row) => rows.push(row))
      query.on('end', () => {
        resolve()
      })
      query.on('error', reject)
    })
  })
  expect(rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
})

test('the client can be given to functions that expect a PoolClient', async () => {
  const { assent, orders, stock } = await openShop()
  const repository = async (client: pg.PoolClient): Promise<void> => {
    await client.query('insert into t values (1)')
    expect(client.escapeIdentifier('a"b')).toBe('"a""b"')
    client.release()
    await client.query('insert into t values (2)')
  }
  await assent.transaction(async (db) => {
    await repository(db.orders.client)
    await repository(db.stock.client)
  })
  expect([await orders.count(), await stock.count()]).toEqual([2, 2])
})

test('the client is guarded like the handle', async () => {
  const { assent, orders } = await openShop()
  await refusal(
    assent.transaction(async (db) => {
      await db.orders.client.query('begin')
    }),
    'ASSENT_TRANSACTION_CONTROL',
  )
  await assent.transaction((db) => {
    expect((db.orders.client as unknown as { connection: unknown }).connection).toBeUndefined()
  })
  expect(await orders.count()).toBe(0)
})

test('statements keep the order in which they were called, also before the join is done', async () => {
  const { assent } = await openShop()
  const order = await assent.transaction(async (db) => {
    const results = await Promise.all(
      [1, 2, 3, 4].map((n) =>
        db.orders.query<{ at: Date; n: number }>('select clock_timestamp() as at, $1::int as n', [
          n,
        ]),
      ),
    )
    return results.map(({ rows }) => rows[0]!).sort((a, b) => a.at.getTime() - b.at.getTime())
  })
  expect(order.map((row) => row.n)).toEqual([1, 2, 3, 4])
})

test('notifications reach the client’s listeners', async () => {
  const { assent, orders } = await openShop({}, { orders: { max: 1 } })
  await orders.pool.query('listen news')
  const heard: unknown[] = []
  await assent.transaction(async (db) => {
    db.orders.client.on('notification', ({ payload }) => heard.push(payload))
    await db.orders.client.query('select 1')
    await orders.sql("select pg_notify('news', 'of somebody')")
  })
  // PostgreSQL keeps it back until the transaction ends.
  expect(heard).toEqual(['of somebody'])
})

test('notices reach the client’s listeners, and leave none behind', async () => {
  const { assent, orders } = await openShop({}, { orders: { max: 1 } })
  const notices: unknown[] = []
  for (let round = 0; round < 3; round += 1) {
    await assent.transaction(async (db) => {
      db.orders.client.on('notice', (notice) => notices.push(notice.message))
      await db.orders.client.query(`do $$ begin raise notice 'round ${round}'; end $$`)
    })
  }
  expect(notices).toEqual(['round 0', 'round 1', 'round 2'])
  const client = await orders.pool.connect()
  expect(client.listenerCount('notice')).toBe(0)
  client.release()
})

test('works under a tracer that wraps the query’s callback', async () => {
  const { assent, orders, stock } = await openShop()
  // eslint-disable-next-line @typescript-eslint/unbound-method -- applied to its client below
  const { query } = pg.Client.prototype
  const spans: string[] = []
  // What tracers do: they look for `callback`, and take anything without one for a promise.
  pg.Client.prototype.query = function traced(this: pg.Client, ...args: never[]): never {
    const [config] = args as unknown as [{ callback?: (...all: unknown[]) => void; text?: string }]
    const given = typeof config === 'object' ? config : {}
    const result = (query as (...all: never[]) => never).apply(this, args)
    if (typeof given.callback === 'function') {
      const { callback } = given
      given.callback = (...all) => {
        spans.push(given.text ?? '')
        callback(...all)
      }
    } else {
      void (result as Promise<unknown>).then(
        () => undefined,
        () => undefined,
      )
    }
    return result
  }
  try {
    await assent.transaction(async (db) => {
      await db.orders.query('insert into t values (1)')
      await db.stock.query('insert into t values (1)')
    })
  } finally {
    pg.Client.prototype.query = query
  }
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  expect(spans).toContain('assent')
})

test('handle and client mixed: the order of calls is the order of statements, from the first on', async () => {
  const { assent, orders } = await openShop()
  await orders.sql('create table calls (n serial, call text)')
  await assent.transaction(async (db) => {
    await Promise.all([
      db.orders.client.query("insert into calls (call) values ('client')"),
      db.orders.query("insert into calls (call) values ('handle')"),
      db.orders.client.query("insert into calls (call) values ('client again')"),
    ])
  })
  const calls = (await orders.sql('select call from calls order by n')).map(({ call }) => call)
  expect(calls).toEqual(['client', 'handle', 'client again'])
})

test.each(['the promise alone', 'both', 'neither as it is'])(
  'a pool that is wrapped by somebody who knows %s gives one connection for each branch',
  async (which) => {
    const { assent, orders } = await openShop({}, { orders: { max: 2 } })
    const { pool } = orders
    const connect = pool.connect.bind(pool) as (...args: readonly unknown[]) => Promise<unknown>
    const wrapped = {
      'the promise alone': () => connect(),
      both: async (callback: (error: unknown, client: unknown) => void) => {
        const client = await connect()
        callback(undefined, client)
        return client
      },
      // Resolves with nothing, long before the callback is called.
      'neither as it is': async (...args: readonly unknown[]) => connect(...args),
    }[which]
    Object.assign(pool, { connect: wrapped })
    for (let at = 1; at <= 4; at += 1) {
      await assent.transaction((db) => db.orders.query('insert into t values (1)'))
      await expect.poll(() => pool.totalCount - pool.idleCount).toBe(0)
    }
    expect(await orders.count()).toBe(4)
  },
)

test('a callback in the query’s config is told when there is no connection', async () => {
  const { assent, orders } = await openShop()
  orders.pool.connect = () => Promise.reject(new Error('no connection today'))
  const told = Promise.withResolvers<unknown>()
  const work = assent.transaction(async (db) => {
    ;(db.orders.query as (query: unknown) => unknown)({ text: 'select 1', callback: told.resolve })
    expect(await told.promise).toMatchObject({ code: 'ASSENT_UNREACHABLE' })
  })
  await refusal(work, 'ASSENT_UNCLEAR')
})
