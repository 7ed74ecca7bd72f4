/**
 * Slots, connections, time and disk run out: no is no, unknown is asked for, and nobody waits for ever.
 */
import { spawnSync } from 'node:child_process'
import { describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { eventually } from '../../harness/eventually.ts'
import type { Verdict } from '../../harness/wire-proxy.ts'
import { runAs } from '../../harness/run-as.ts'
import { expectNothing, openShop, refusal, writeBoth } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import { ownDatabase, ownServer } from '../support/own-server.ts'
import { Network, once } from '../faults/network.ts'

test('no slot is left to prepare in (fault 74): aborted, and it works once one is free', async () => {
  const orders = await freshDatabase('first')
  const stock = await ownDatabase(await ownServer('few', { max_prepared_transactions: '1' }))
  const assent = open(orders, stock)
  const write = (): Promise<void> =>
    assent.transaction(async (db) => {
      await db.stock.query('insert into t values (1)')
      await db.orders.query('insert into t values (1)')
    })
  await stock.sql("begin; insert into t values (9); prepare transaction 'somebody-elses'")
  const error = await refusal(write(), 'ASSENT_REFUSED')
  expect(error.cause).toMatchObject({ code: '53200' })
  expect([await orders.count(), await stock.count()]).toEqual([0, 0])
  expect(await stock.prepared()).toEqual(['somebody-elses'])
  await stock.sql("rollback prepared 'somebody-elses'")
  await write()
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
})

test('each holds the last connection that the other waits for (fault 75): a deadline ends it', async () => {
  const { assent, orders, stock } = await openShop({}, { orders: { max: 1 }, stock: { max: 1 } })
  const both = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()] as const
  const run = (first: 'orders' | 'stock', timeoutMs: number): Promise<void> =>
    assent.transaction(
      async (db) => {
        await db[first].query('insert into t values (1)')
        both[first === 'orders' ? 0 : 1].resolve(undefined)
        await Promise.all(both.map(({ promise }) => promise))
        await db[first === 'orders' ? 'stock' : 'orders'].query('insert into t values (1)')
      },
      { timeoutMs },
    )
  const [patient, hasty] = [run('stock', 20_000), run('orders', 500)]
  await refusal(hasty, 'ASSENT_TIMEOUT')
  await patient
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  await expect.poll(() => [orders.pool.waitingCount, stock.pool.waitingCount]).toEqual([0, 0])
})

test('the application’s pools are used up (fault 76): recovery has connections of its own', async () => {
  const shop = await openShop({}, { orders: { max: 1 }, stock: { max: 1 } })
  await shop.assent.close()
  const leftover = await leaveBehind(shop, 'decided')
  leftover.vanish()
  await expect.poll(() => shop.stock.pool.totalCount).toBe(0)
  const held = await Promise.all([shop.orders.pool.connect(), shop.stock.pool.connect()])
  await using assent = open(shop.orders, shop.stock)
  await expect.poll(() => shop.stock.prepared()).toEqual([])
  expect(await shop.stock.count()).toBe(1)
  expect(await assent.outcome(leftover.id)).toEqual({ outcome: 'committed' })
  for (const client of held) client.release()
})

test('the decider accepts no more connections (fault 77): in doubt until it does', async () => {
  const settings = {
    max_connections: '12',
    superuser_reserved_connections: '0',
    max_wal_senders: '0',
  }
  const orders = await ownDatabase(await ownServer('full', settings))
  const stock = await freshDatabase('second')
  const leftover = await leaveBehind({ orders, stock }, 'decided')
  leftover.vanish()
  const crowd = await fill(orders)
  const failures: unknown[] = []
  const assent = createAssent({
    app: 'shop',
    participants: { orders: participant(orders.pool), stock: participant(stock.pool) },
    onReport: (report) => {
      if (report.type === 'scan-failed') failures.push(report.error)
    },
  })
  onTestFinished(() => assent.close())
  await eventually('some scans to fail', () => failures.length >= 2)
  expect(failures[0]).toMatchObject({ cause: { code: '53300' } })
  expect(await stock.prepared()).toHaveLength(1)
  expect(await assent.outcome(leftover.id)).toMatchObject({ outcome: 'unknown' })
  await Promise.all(crowd.map((client) => client.end()))
  await expect.poll(() => stock.prepared(), { timeout: 20_000 }).toEqual([])
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
})

/** What was put off until the end of a transaction runs with the message that prepares it. */
const SLOW_PREPARE = `create function slow() returns trigger language plpgsql as
    'begin perform pg_sleep(30); return new; end';
  create constraint trigger slow after insert on t deferrable initially deferred
    for each row execute function slow()`

test('PREPARE takes 30 s (fault 79): at the deadline the others’ locks are free', async () => {
  const { assent, orders, stock } = await openShop()
  await orders.sql('insert into t values (7)')
  await stock.sql(SLOW_PREPARE)
  await refusal(
    assent.transaction(
      async (db) => {
        await db.stock.query('insert into t values (1)')
        await db.orders.query('update t set x = 8')
      },
      { timeoutMs: 1_000 },
    ),
    'ASSENT_TIMEOUT',
  )
  await expect.poll(() => orders.sql('select x from t for update skip locked')).toHaveLength(1)
  // The slow one itself is ended by its server, which looks whether its client is still there.
  const open = `select 1 from pg_stat_activity where datname = current_database()
    and wait_event = 'PgSleep'`
  await expect.poll(() => stock.sql(open)).toEqual([])
  expect(await stock.prepared()).toEqual([])
})

test('a statement time-out fires in the message of PREPARE (fault 80): a no, so aborted', async () => {
  const shop = await openShop()
  await shop.stock.sql(SLOW_PREPARE)
  await shop.stock.sql(`alter database ${shop.stock.name} set statement_timeout = '300ms'`)
  const error = await refusal(writeBoth(shop), 'ASSENT_REFUSED')
  expect(error.cause).toMatchObject({ code: '57014' })
  await expectNothing(shop.orders, shop.stock)
})

/**
 * Linux lets a limit be set on a process that runs: then its files grow no more, as on a full disk. No
 * other system does; and where `prlimit` is missing on Linux, the tests fail.
 */
const canLimit = process.platform === 'linux'

function limitFiles(pid: number, limit: string): number | null {
  return spawnSync('prlimit', ['--pid', String(pid), `--fsize=${limit}`], runAs()).status
}

describe('the voter’s disk is full (fault 53)', () => {
  test.skipIf(!canLimit).each([
    ['its receipt finds no room: a no', 'new tables', 'ASSENT_REFUSED'],
    ['its log finds no room, and the server restarts: unclear', 'used tables', 'ASSENT_UNCLEAR'],
  ] as const)('%s, so aborted', async (_what, tables, code) => {
    const server = await ownServer('no-room')
    const databaseOf = async (name: string): Promise<TestDatabase> =>
      name === 'stock' ? ownDatabase(server) : freshDatabase('first')
    const network = await Network.open({ databaseOf })
    const { database } = network.site('stock')
    await network.assent.migrate()
    if (tables === 'used tables') await network.write()
    const pids = "select pid from pg_stat_activity where state = 'idle in transaction'"
    let writers: readonly number[] = []
    network.onArrival.set(
      'stock vote',
      once(() => {
        for (const pid of writers) expect(limitFiles(pid, '0:')).toBe(0)
      }),
    )
    network.onAnswer.set('orders first-claim', async (): Promise<Verdict> => {
      writers = (await database.sql(pids)).map((row) => Number(row['pid']))
      return 'pass'
    })
    const error = await refusal(network.write(5_000), code)
    expect(writers).toHaveLength(1)
    if (tables === 'new tables') {
      expect((error.cause as Error).message).toMatch(/could not extend file .* File too large/)
    } else {
      // It could not even write why: its postmaster tells of its end.
      const died = /terminated by signal 6.*\n.*PREPARE TRANSACTION/
      await expect.poll(() => server.logTail()).toMatch(died)
    }
    const rows = tables === 'used tables' ? 1 : 0
    await expect.poll(() => database.count().catch(() => -1), { timeout: 20_000 }).toBe(rows)
    await network.settles([rows, rows])
    network.onAnswer.clear()
    for (const pid of writers) limitFiles(pid, 'unlimited:')
    await network.write()
    await network.settles([rows + 1, rows + 1])
  })
})

function open(orders: TestDatabase, stock: TestDatabase) {
  const assent = createAssent({
    app: 'shop',
    participants: { orders: participant(orders.pool), stock: participant(stock.pool) },
    onReport: () => undefined,
  })
  onTestFinished(() => assent.close())
  return assent
}

/** Opens connections until the server refuses one. */
async function fill({ url }: TestDatabase): Promise<readonly pg.Client[]> {
  const crowd: pg.Client[] = []
  for (;;) {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => undefined)
    try {
      await client.connect()
      crowd.push(client)
    } catch (error) {
      expect(error).toMatchObject({ code: '53300' })
      return crowd
    }
  }
}
