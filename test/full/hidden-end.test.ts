/**
 * A transaction that was ended and replaced without a trace: a statement that was parsed under a name,
 * outside of any transaction of Assent's, is run by a function. No tag tells of it, and where another
 * transaction follows, no status either.
 */
import { describe, expect, test } from 'vitest'
import type pg from 'pg'
import type { AssentError } from 'assent'
import { refusal } from '../support/assent.ts'
import { observed } from '../support/observed.ts'

const INSERT = 'insert into t values (1)'
const END = "select run('EXECUTE again')"
const RUN = `create function run(text) returns int language plpgsql as
  'begin execute $1; return 1; end'`
const ENDS = ['ROLLBACK AND CHAIN', 'COMMIT AND CHAIN', 'COMMIT'] as const
type End = (typeof ENDS)[number]
type Scene = Awaited<ReturnType<typeof observed>>

/** Parsing it under a name runs it once; what matters is that the name stays. */
async function giveName(pool: pg.Pool, end: End): Promise<void> {
  const client = await pool.connect()
  await client.query('begin')
  await client.query({ name: 'again', text: end })
  await client.query('rollback')
  client.release()
}

async function endable(end: End) {
  const scene = await observed({ max: 1 })
  for (const name of ['orders', 'stock'] as const) {
    await scene.databases[name].sql(RUN)
    await giveName(scene.ways[name].pool, end)
  }
  const decisions = () => scene.databases.orders.sql('select decision from assent.mark')
  return { ...scene, decisions }
}

/** Nobody can tell a COMMIT from a ROLLBACK there, so nobody is told that it was one. */
async function refused(work: Promise<unknown>): Promise<AssentError> {
  return refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
}

describe.each(ENDS)('a hidden %s, run by a function (fault 113)', (end) => {
  const kept = end === 'ROLLBACK AND CHAIN' ? 0 : 1

  test('in one database is told as unknown', async () => {
    const { assent, counts } = await endable(end)
    const work = assent.transaction(async ({ orders }) => {
      await orders.query(INSERT)
      await orders.query(END)
      if (end !== 'COMMIT') await orders.query('insert into t values (2)')
    })
    await refused(work)
    expect(await counts()).toEqual([kept, 0, 0])
  })

  test.each(['orders', 'stock'] as const)(
    'commits nothing of the others, where %s decides',
    async (decider) => {
      for (const ended of ['orders', 'stock'] as const) {
        const { assent, counts, databases, decisions } = await endable(end)
        const work = assent.transaction(
          async (db) => {
            await db.stock.query(INSERT)
            await db.orders.query(INSERT)
            await db[ended].query(END)
            if (end !== 'COMMIT') await db[ended].query('insert into t values (2)')
          },
          { decider },
        )
        const error = await refused(work)
        const asked = await assent.outcome(error.transactionId ?? '')
        expect(asked).toMatchObject({ outcome: 'unknown' })
        if (end !== 'COMMIT')
          expect(error.message).toMatch(new RegExp(`${ended}: unknown|on ${ended} ended`))
        expect(await counts()).toEqual(ended === 'orders' ? [kept, 0, 0] : [0, kept, 0])
        expect(await databases.orders.prepared()).toEqual([])
        expect(await databases.stock.prepared()).toEqual([])
        expect(await decisions()).toEqual([])
      }
    },
  )
})

test('behind a hidden COMMIT, which made the claim durable, nobody is asked to prepare', async () => {
  const { assent, said, counts, databases, reports, decisions } = await endable('COMMIT AND CHAIN')
  let txid = ''
  const work = assent.transaction(async ({ orders, stock }, tx) => {
    txid = tx.id
    await stock.query(INSERT)
    await orders.query(INSERT)
    await orders.query(END)
    expect(await decisions()).toEqual([{ decision: 'commit' }])
    await orders.query('insert into t values (2)')
  })
  await refused(work)
  expect(said).toEqual(['orders first-claim'])
  expect(await counts()).toEqual([1, 0, 0])
  expect(await decisions()).toEqual([])
  expect(await databases.stock.prepared()).toEqual([])
  expect(await assent.outcome(txid)).toEqual({ outcome: 'unknown', reason: 'not-found' })
  expect(reports.filter((report) => report.type.includes('lost'))).toEqual([])
})

describe('behind a hidden COMMIT, something else goes wrong', () => {
  test.each(['throws', 'is retried', 'loses its connection'] as const)(
    'the function %s: unknown, once, and no claim is left',
    async (how) => {
      const { assent, counts, databases, ways, decisions } = await endable('COMMIT AND CHAIN')
      let runs = 0
      const work = assent.transaction(
        async ({ orders, stock }) => {
          runs += 1
          await stock.query(INSERT)
          await orders.query(INSERT)
          await orders.query(END)
          if (how === 'throws') throw new Error('changed my mind')
          if (how === 'is retried') {
            await orders.query(`do $$ begin raise sqlstate '40001'; end $$`)
          }
          const [client] = await databases.orders.sql(
            `select pg_terminate_backend(pid, 5000) from pg_stat_activity
              where datname = current_database() and query like '%EXECUTE again%'
              and pid <> pg_backend_pid()`,
          )
          expect(client).toEqual({ pg_terminate_backend: true })
        },
        { retry: { attempts: 3 } },
      )
      await refused(work)
      expect(runs).toBe(1)
      expect(await counts()).toEqual([1, 0, 0])
      expect(await decisions()).toEqual([])
      expect(ways.orders.pool.totalCount).toBeLessThan(2)
    },
  )
})

test('nor where the COMMIT was given its name after the connection had been used', async () => {
  const { assent, said, databases, ways, counts } = await observed({ max: 1 })
  const decisions = () => databases.orders.sql('select decision from assent.mark')
  await databases.orders.sql(RUN)
  await assent.transaction(({ orders }) => orders.query(INSERT))
  await giveName(ways.orders.pool, 'COMMIT AND CHAIN')
  said.length = 0
  const work = assent.transaction(async ({ orders, stock }) => {
    await stock.query(INSERT)
    await orders.query(INSERT)
    await orders.query(END)
    await orders.query('insert into t values (2)')
  })
  await refused(work)
  expect(said).toEqual(['orders first-claim'])
  expect(await counts()).toEqual([2, 0, 0])
  expect(await decisions()).toEqual([])
})

test('nor where the function throws and nothing shows the COMMIT', async () => {
  const { assent, counts, decisions } = await endable('COMMIT AND CHAIN')
  const mine = new Error('changed my mind')
  const work = assent.transaction(async ({ orders, stock }) => {
    await stock.query(INSERT)
    await orders.query(INSERT)
    await orders.query('set default_transaction_read_only = on')
    await orders.query(END)
    throw mine
  })
  await expect(work).rejects.toBe(mine)
  expect(await counts()).toEqual([1, 0, 0])
  expect(await decisions()).toEqual([])
})

test('what a transaction’s end is known by may be set by others: it costs messages, and no more', async () => {
  const { assent, said, counts } = await observed()
  await assent.transaction(async ({ orders, stock }) => {
    await stock.query(INSERT)
    await orders.query(INSERT)
    await orders.query('set local default_transaction_read_only = off')
  })
  expect(said).toContain('orders secure')
  expect(await counts()).toEqual([1, 1, 0])
})

/** In `orders`, whatever is inserted into `u` has the transaction ended when what was deferred runs. */
async function endDeferred(scene: Pick<Scene, 'databases'>): Promise<void> {
  await scene.databases.orders.sql(`create table u (x int);
    create function ender() returns trigger language plpgsql as
      'begin execute ''EXECUTE again''; return null; end';
    create constraint trigger late after insert on u deferrable initially deferred
      for each row execute function ender()`)
}

describe.each(ENDS)('a hidden %s, run by a deferred trigger in the one that decides', (end) => {
  const kept = end === 'ROLLBACK AND CHAIN' ? 0 : 1

  describe.each(['first', 'last'] as const)('whose claim is written %s', (claim) => {
    test.each(['votes yes', 'votes no'] as const)('where the other %s', async (vote) => {
      const scene = await endable(end)
      const { assent, databases, counts, decisions, reports } = scene
      await endDeferred(scene)
      await databases.stock.sql('create table v (x int unique deferrable initially deferred)')
      const work = assent.transaction(
        async ({ orders, stock }) => {
          if (claim === 'last') await orders.query(INSERT)
          await stock.query(INSERT)
          if (vote === 'votes no') await stock.query('insert into v values (1), (1)')
          if (claim === 'first') await orders.query(INSERT)
          await orders.query('insert into u values (1)')
        },
        { decider: 'orders' },
      )
      await refused(work)
      expect(await counts()).toEqual([kept, 0, 0])
      expect(await decisions()).toEqual([])
      expect(await databases.stock.prepared()).toEqual([])
      expect(reports.filter((report) => report.type.includes('lost'))).toEqual([])
    })
  })
})

describe.each(ENDS)('a hidden %s, run by a deferred trigger elsewhere', (end) => {
  test.each([
    ['in one that prepares', ['orders', 'stock']],
    ['in the only database', ['orders']],
  ] as const)('%s: nothing is committed', async (_where, used) => {
    const scene = await endable(end)
    const { assent, databases, counts } = scene
    await endDeferred(scene)
    const work = assent.transaction(async (db) => {
      for (const name of used) await db[name].query(INSERT)
      await db.orders.query('insert into u values (1)')
    })
    const error = await work.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ outcome: used.length === 1 ? 'unknown' : 'aborted' })
    expect(await counts()).toEqual([0, 0, 0])
    expect(await databases.orders.prepared()).toEqual([])
  })
})

describe.each(ENDS)('a hidden %s, behind a claim that is written last', (end) => {
  const kept = end === 'ROLLBACK AND CHAIN' ? 0 : 1

  test('in a deferred trigger that was made a moment ago: nobody is asked to prepare', async () => {
    const scene = await endable(end)
    const { assent, databases, counts, decisions, said } = scene
    const twoRows = async (also?: string): Promise<void> => {
      await assent.transaction(
        async ({ orders, stock }) => {
          await orders.query(INSERT)
          await stock.query(INSERT)
          if (also !== undefined) await orders.query(also)
        },
        { decider: 'orders' },
      )
    }
    // What may be deferred here is read now, and then not for a while.
    await twoRows()
    await endDeferred(scene)
    await refused(twoRows('insert into u values (1)'))
    expect(said.filter((each) => each === 'stock vote')).toHaveLength(1)
    expect(await counts()).toEqual([1 + kept, 1, 0])
    expect(await decisions()).toHaveLength(1)
    expect(await databases.stock.prepared()).toEqual([])
  })

  test.each([
    ['shows', 'select 1'],
    ['can’t show', 'set default_transaction_read_only = on'],
  ])('in one that defers another one, where the watch %s it: both or none', async (_how, also) => {
    const scene = await endable(end)
    const { assent, databases, counts, decisions } = scene
    await endDeferred(scene)
    await databases.orders.sql(`create table v (x int);
      create function defers() returns trigger language plpgsql as
        'begin set constraints all deferred; insert into u values (1); return null; end';
      create constraint trigger late after insert on v deferrable initially deferred
        for each row execute function defers()`)
    const work = assent.transaction(
      async ({ orders, stock }) => {
        await orders.query(INSERT)
        await stock.query(INSERT)
        await orders.query(also)
        await orders.query('insert into v values (1)')
      },
      { decider: 'orders' },
    )
    // It runs with COMMIT then, where the server ends the session.
    expect(await work.catch((error: unknown) => error)).toMatchObject({ outcome: 'aborted' })
    expect(await counts()).toEqual([0, 0, 0])
    expect(await decisions()).toEqual([])
    expect(await databases.stock.prepared()).toEqual([])
  })

  test('is told as unknown too, if nobody answers whether the transaction is still there', async () => {
    const scene = await endable(end)
    const { assent, counts, decisions, said, cutAt } = scene
    await endDeferred(scene)
    cutAt.add('orders prove-again')
    const work = assent.transaction(
      async ({ orders, stock }) => {
        await orders.query(INSERT)
        await stock.query(INSERT)
        // From now on the setting that is watched shows nothing.
        await orders.query('set default_transaction_read_only = on')
        await orders.query('insert into u values (1)')
      },
      { decider: 'orders' },
    )
    await refused(work)
    if (end !== 'COMMIT') expect(said).toEqual(['orders claim', 'orders prove-again'])
    expect(await counts()).toEqual([kept, 0, 0])
    expect(await decisions()).toEqual([])
  })
})

test('a claim that is written anew, and undone by a hidden ROLLBACK TO, is not committed', async () => {
  const scene = await observed({ max: 1 })
  const { assent, databases, ways, counts } = scene
  const client = await ways.orders.pool.connect()
  await client.query('begin')
  await client.query('savepoint a')
  await client.query({ name: 'again', text: 'rollback to a' })
  await client.query('rollback')
  client.release()
  await endDeferred(scene)
  const work = assent.transaction(async ({ orders, stock, ledger }) => {
    await stock.query(INSERT)
    await orders.query(INSERT)
    await orders.query('savepoint a')
    await orders.query('insert into u values (1)')
    await ledger.query(INSERT)
  })
  await refused(work)
  expect(await counts()).toEqual([0, 0, 0])
  for (const database of Object.values(databases)) {
    expect(await database.sql('select txid from assent.mark')).toEqual([])
    expect(await database.prepared()).toEqual([])
  }
})

test('a deferred trigger’s own missing cursor is told as what it is', async () => {
  const { assent, databases, counts } = await observed()
  await databases.orders.sql(`create table u (x int);
    create function fetches() returns trigger language plpgsql as
      $$ begin execute 'fetch nope'; return null; end $$;
    create constraint trigger late after insert on u deferrable initially deferred
      for each row execute function fetches()`)
  const work = assent.transaction(async ({ orders, stock }) => {
    await stock.query(INSERT)
    await orders.query('insert into u values (1)')
  })
  const error = await refusal(work, 'ASSENT_REFUSED')
  expect(error.cause).toMatchObject({ code: '34000' })
  expect(await counts()).toEqual([0, 0, 0])
})
