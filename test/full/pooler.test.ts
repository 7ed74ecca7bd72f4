/**
 * PgBouncer in transaction mode gives each transaction whichever session of the server is free. A
 * branch works so; the connections that Assent keeps for itself must be direct.
 */
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import type { PgOptions } from 'assent/pg'
import { Pgbouncer } from '../../harness/pgbouncer.ts'
import { WireProxy } from '../../harness/wire-proxy.ts'
import { expectNothing, refusal, rejection } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'

/** Few, so that clients share them. */
const POOL_SIZE = 4
let poolers: readonly [Pgbouncer, Pgbouncer]

beforeAll(async () => {
  const { first, second } = inject('servers')
  poolers = await Promise.all([
    Pgbouncer.start({ name: 'orders', server: first, poolSize: POOL_SIZE }),
    Pgbouncer.start({ name: 'stock', server: second, poolSize: POOL_SIZE }),
  ])
})

afterAll(async () => {
  await Promise.all(poolers.map((pooler) => pooler.remove()))
})

interface Pooled extends TestDatabase {
  /** Leads through the pooler. */
  readonly pooledUrl: string
  readonly pooled: pg.Pool
}

async function pooledDatabase(at: 0 | 1, config: pg.PoolConfig = {}): Promise<Pooled> {
  const database = await freshDatabase(at === 0 ? 'first' : 'second')
  const pooledUrl = poolers[at].url(database.url)
  const pooled = new pg.Pool({ connectionString: pooledUrl, ...config })
  pooled.on('error', () => undefined)
  onTestFinished(() => pooled.end())
  return { ...database, pooledUrl, pooled }
}

const DIRECT = (database: Pooled): PgOptions => ({
  recovery: { connectionString: database.url },
})

async function pooledShop(config: pg.PoolConfig = {}, options = DIRECT) {
  const [orders, stock] = await Promise.all([pooledDatabase(0, config), pooledDatabase(1, config)])
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(orders.pooled, options(orders)),
      stock: participant(stock.pooled, options(stock)),
    },
    onReport: () => undefined,
  })
  onTestFinished(() => assent.close())
  const write = (): Promise<readonly number[]> =>
    assent.transaction(async (db) => {
      const insert = 'insert into t values (1) returning pg_backend_pid() as pid'
      const written = [
        await db.orders.query<{ pid: number }>(insert),
        await db.stock.query<{ pid: number }>(insert),
      ]
      return written.map(({ rows }) => rows[0]?.pid ?? -1)
    })
  return { assent, orders, stock, write }
}

describe('a pool that leads through PgBouncer in transaction mode', () => {
  test('commits in both databases, and rolls back in both', async () => {
    const { assent, orders, stock, write } = await pooledShop()
    const thrown = new Error('sold out')
    const refused = assent.transaction(async (db) => {
      await db.orders.query('insert into t values (1)')
      await db.stock.query('insert into t values (1)')
      throw thrown
    })
    expect(await rejection(refused)).toBe(thrown)
    await expectNothing(orders, stock)
    await write()
    for (const database of [orders, stock]) {
      expect(await database.count()).toBe(1)
      expect(await database.prepared()).toEqual([])
      expect(await database.sql('select decision from assent.mark')).toEqual([
        { decision: 'commit' },
      ])
    }
  })

  test('serves many transactions at once with few sessions of the server', async () => {
    const { orders, stock, write } = await pooledShop({ max: 20 })
    const pids = await Promise.all(Array.from({ length: 60 }, write))
    expect(new Set(pids.map(([ordersPid]) => ordersPid)).size).toBeLessThanOrEqual(POOL_SIZE)
    expect([await orders.count(), await stock.count()]).toEqual([60, 60])
    expect([...(await orders.prepared()), ...(await stock.prepared())]).toEqual([])
  })

  test('gets on when each transaction meets a session that none of its statements is known to', async () => {
    const shop = await pooledShop({ max: 1 })
    const named = { name: 'user', text: 'select $1::int as n', values: [1] }
    const read = (): Promise<unknown> =>
      shop.assent.transaction(({ orders }) => orders.query(named), { reads: ['orders'] })
    const before = await shop.write()
    await read()
    const busy = [await keepBusy(shop.orders), await keepBusy(shop.stock)]
    const after = await shop.write()
    expect(after.filter((pid) => before.includes(pid))).toEqual([])
    // This is what becomes of a named statement there: only the user's own, of what follows.
    expect(await rejection(read())).toMatchObject({ code: '26000' })
    for (const each of busy) await each.end()
    await shop.write()
    await shop.write()
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([4, 4])
  })

  test('has a second process of ours use the sessions of the first', async () => {
    const shop = await pooledShop({ max: 1 })
    const options = { connectionString: shop.orders.pooledUrl, max: 1 }
    const again = [
      new pg.Pool(options),
      new pg.Pool({ ...options, connectionString: shop.stock.pooledUrl }),
    ] as const
    const other = createAssent({
      app: 'shop',
      participants: {
        orders: participant(again[0], DIRECT(shop.orders)),
        stock: participant(again[1], DIRECT(shop.stock)),
      },
    })
    const write = async (): Promise<void> => {
      await other.transaction(async ({ orders, stock }) => {
        await orders.query('insert into t values (1)')
        await stock.query('insert into t values (1)')
      })
    }
    for (let round = 0; round < 3; round += 1) {
      await shop.write()
      await write()
    }
    await other.close()
    await Promise.all(again.map((pool) => pool.end()))
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([6, 6])
  })

  test('leaves no setting behind in a session of the server', async () => {
    const shop = await pooledShop({ max: 20 })
    await Promise.all(Array.from({ length: 20 }, shop.write))
    await shop.assent.recover()
    for (const database of [shop.orders, shop.stock]) {
      expect(await changedSettings(database)).toEqual([])
    }
  })

  test('ends a prepared branch from a direct connection, where no setting is a stranger’s', async () => {
    const [orders, stock] = await Promise.all([pooledDatabase(0), pooledDatabase(1)])
    const said: string[] = []
    await using proxy = await WireProxy.listen({
      targetPort: poolers[1].port,
      name: ({ statements }) => {
        said.push(...statements.map(({ sql }) => sql))
        return undefined
      },
    })
    const pool = new pg.Pool({ connectionString: proxy.url(stock.pooledUrl) })
    const assent = createAssent({
      app: 'shop',
      participants: {
        orders: participant(orders.pooled, DIRECT(orders)),
        stock: participant(pool, DIRECT(stock)),
      },
    })
    await assent.transaction(async (db) => {
      await db.stock.query('insert into t values (1)')
      await db.orders.query('insert into t values (1)')
    })
    expect(await stock.count()).toBe(1)
    expect(said.filter((sql) => sql.startsWith('PREPARE TRANSACTION'))).toHaveLength(1)
    expect(said.filter((sql) => sql.startsWith('COMMIT PREPARED'))).toEqual([])
    await assent.close()
    await pool.end()
  })

  test('hears that a function has ended its transaction by a name that another client left (fault 113)', async () => {
    const { assent, orders, stock } = await pooledShop()
    await stock.sql(`create table u (x int);
      create function ender() returns trigger language plpgsql as $$ begin
        execute (select 'EXECUTE ' || quote_ident(name) from pg_prepared_statements
          where statement ilike 'commit and chain');
        return null; end $$;
      create constraint trigger late after insert on u deferrable initially deferred
        for each row execute function ender()`)
    // In each session of the server: all of them are taken at once.
    const clients = await Promise.all(
      Array.from({ length: POOL_SIZE }, () => stock.pooled.connect()),
    )
    await Promise.all(clients.map((client) => client.query('begin')))
    for (const client of clients) {
      await client.query({ name: 'again', text: 'COMMIT AND CHAIN' })
      await client.query('rollback')
      client.release(true)
    }
    const work = assent.transaction(async (db) => {
      await db.orders.query('insert into t values (1)')
      await db.stock.query('insert into t values (1)')
      await db.stock.query('insert into u values (1)')
    })
    await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
    expect(await orders.prepared()).toEqual([])
    expect([await orders.count(), await stock.count()]).toEqual([0, 1])
    expect(await stock.sql('select decision from assent.mark')).toEqual([])
  })
})

describe('without a direct connection', () => {
  test('a transaction over two databases is refused, and the error says what to give', async () => {
    const { assent, orders, stock, write } = await pooledShop({}, () => ({}))
    const error = await refusal(write(), 'ASSENT_POOLER')
    expect(error.message).toMatch(
      /(orders|stock): .*pooler or proxy.*recovery: \{ connectionString/,
    )
    await expectNothing(orders, stock)
    for (const database of [orders, stock]) expect(await changedSettings(database)).toEqual([])
    await assent.transaction((db) => db.orders.query('insert into t values (1)'))
    expect(await orders.count()).toBe(1)
  })

  test('what is prepared is left alone, and each scan says why', async () => {
    const reports: unknown[] = []
    const stock = await pooledDatabase(1)
    const assent = createAssent({
      app: 'shop',
      participants: { stock: participant(stock.pooled) },
      onReport: (report) => reports.push(report),
    })
    onTestFinished(() => assent.close())
    await expect
      .poll(() => reports)
      .toContainEqual(
        expect.objectContaining({
          type: 'scan-failed',
          error: expect.objectContaining({ code: 'ASSENT_POOLER' }) as unknown,
        }),
      )
  })

  test('a pooler that gives each client a session of its own will do, once that is said', async () => {
    const servers = inject('servers')
    const session = { name: 'session', poolMode: 'session' } as const
    await using orders = await Pgbouncer.start({ ...session, server: servers.first })
    await using stock = await Pgbouncer.start({ ...session, server: servers.second })
    const via = [orders, stock]
    const open = (recoveryVia: 'direct' | 'session-pooler') =>
      pooledShop({}, ({ url }) => {
        const pooler = via[new URL(url).port === new URL(servers.first).port ? 0 : 1]!
        return { recovery: { connectionString: pooler.url(url) }, recoveryVia }
      })
    await refusal((await open('direct')).write(), 'ASSENT_POOLER')
    const shop = await open('session-pooler')
    await shop.write()
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([1, 1])
    await shop.assent.close()
  })
})

/** Takes the session that the pooler would give next, until it is ended. */
async function keepBusy(database: Pooled): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.pooledUrl })
  await client.connect()
  await client.query('begin')
  return client
}

/** What differs from a session that nobody has used, in any session of the pooler. */
async function changedSettings(database: Pooled): Promise<readonly string[]> {
  const text = `select name, setting from pg_settings where source = 'session'
      and name not in ('application_name', 'client_encoding')
    union all select 'assent.branch', current_setting('assent.branch', true)
      where current_setting('assent.branch', true) <> ''`
  const clients = await Promise.all(Array.from({ length: POOL_SIZE }, () => keepBusy(database)))
  const found: string[] = []
  for (const client of clients) {
    const { rows } = await client.query<{ name: string; setting: string }>(text)
    found.push(...rows.map(({ name, setting }) => `${name} = ${setting}`))
    await client.end()
  }
  return found
}
