import { describe, expect, test } from 'vitest'
import pg from 'pg'
import { AssentError, createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { expectNothing, openShop, refusal, rejection } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'

const SECRET = 'pass-word-9f2c'

function thrown(run: () => unknown): AssentError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(AssentError)
    return error as AssentError
  }
  throw new Error('nothing was thrown')
}

/** A pool that never connects: only what `createAssent` looks at matters. */
function idlePool(): pg.Pool {
  return new pg.Pool({ host: '127.0.0.1', port: 1 })
}

describe('createAssent refuses', () => {
  const participants = { orders: participant(idlePool()) }

  test.each([
    [
      'an unknown setting',
      { app: 'shop', participants, retries: 3 },
      'ASSENT_OPTION',
      /"retries".*app, participants/,
    ],
    ['no app', { participants }, 'ASSENT_OPTION', /app of type undefined/],
    [
      'an app that no id can carry',
      { app: 'my shop', participants },
      'ASSENT_NAME',
      /"my shop".*A-Z a-z 0-9/,
    ],
    [
      'a wrong default',
      { app: 'shop', participants, timeoutMs: 0 },
      'ASSENT_OPTION',
      /timeoutMs.*1 to 3600000/,
    ],
    [
      'an unknown decider',
      { app: 'shop', participants, decider: 'x' },
      'ASSENT_UNKNOWN_PARTICIPANT',
      /"x".*orders/,
    ],
    [
      'a pool in place of a participant',
      { app: 'shop', participants: { orders: idlePool() } },
      'ASSENT_OPTION',
      /what pg\(pool\) returns/,
    ],
    ['nothing', undefined, 'ASSENT_OPTION', /an object with `app`/],
  ])('%s', (_what, setting, code, message) => {
    const error = thrown(() => createAssent(setting as never))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
  })

  test('names that together make too long an id', () => {
    const long = {
      app: 'a-rather-long-name',
      participants: { accounting: participant(idlePool()), warehouse: participant(idlePool()) },
    }
    const error = thrown(() => createAssent(long))
    expect(error.code).toBe('ASSENT_NAME')
    expect(error.message).toMatch(/at most 64.*may have 29 characters; they have 37/)
  })

  test('an app too long for an id, even with one participant', () => {
    const setting = { app: 'a'.repeat(40), participants: { orders: participant(idlePool()) } }
    expect(thrown(() => createAssent(setting)).code).toBe('ASSENT_NAME')
  })

  test('a connection string in any wrong place, without repeating its password', () => {
    const url = `postgres://user:${SECRET}@host/db`
    const pool = participant(idlePool())
    for (const setting of [
      url,
      { app: url, participants: { orders: pool } },
      { app: 'shop', participants: url },
      { app: 'shop', participants: { orders: url } },
      { app: 'shop', participants: { [url]: pool } },
      Object.create(null) as object,
    ]) {
      expect(thrown(() => createAssent(setting as never)).message).not.toContain(SECRET)
    }
    expect(thrown(() => participant(url as never)).message).not.toContain(SECRET)
  })

  test('the same pool twice', () => {
    const pool = idlePool()
    const error = thrown(() =>
      createAssent({ app: 'shop', participants: { a: participant(pool), b: participant(pool) } }),
    )
    expect(error.code).toBe('ASSENT_SAME_DATABASE')
  })

  test.each([
    ['a connection string', 'postgres://x'],
    ['a client', new pg.Client()],
    ['nothing', undefined],
  ])('%s where a pool belongs', (_what, value) => {
    expect(thrown(() => participant(value as never)).message).toMatch(/needs a Pool/)
  })

  test('an unknown option of pg()', () => {
    const error = thrown(() => participant(idlePool(), { scheme: 'x' } as never))
    expect(error.message).toMatch(/"scheme".*schema, recovery/)
  })
})

describe('transaction refuses', () => {
  test('unknown options, participants and values, before anything is begun', async () => {
    const { assent, orders, stock } = await openShop()
    const run = (options: unknown): Promise<unknown> =>
      assent.transaction((db) => db.orders.query('insert into t values (1)'), options as never)
    expect((await refusal(run({ timeout: 5 }), 'ASSENT_OPTION')).message).toMatch(
      /"timeout".*timeoutMs/,
    )
    await refusal(run({ reads: ['nobody'] }), 'ASSENT_UNKNOWN_PARTICIPANT')
    await refusal(run({ branchIsolation: 'chaos' }), 'ASSENT_OPTION')
    await refusal(run({ retry: { attempts: 1_000 } }), 'ASSENT_OPTION')
    await refusal(run({ resolveWhen: 'soon' }), 'ASSENT_OPTION')
    await refusal(run({ signal: 'now' }), 'ASSENT_OPTION')
    await refusal(assent.transaction('work' as never), 'ASSENT_OPTION')
    await expectNothing(orders, stock)
  })

  test('a handle of a name that is not configured', async () => {
    const { assent, orders } = await openShop()
    const error = await refusal(
      assent.transaction(async (db) => {
        await db.orders.query('insert into t values (1)')
        await (db as unknown as Record<string, typeof db.orders>)['shipping']!.query('select 1')
      }),
      'ASSENT_UNKNOWN_PARTICIPANT',
    )
    expect(error.message).toMatch(/"shipping".*orders, stock/)
    await expectNothing(orders)
  })

  test('a handle that is used after the end', async () => {
    const { assent, orders, stock } = await openShop()
    let late: (() => Promise<unknown>)[] = []
    await assent.transaction(async (db) => {
      await db.orders.query('select 1')
      late = [
        () => db.orders.query('insert into t values (1)'),
        () => db.stock.query('insert into t values (1)'),
        () => db.orders.client.query('insert into t values (1)'),
      ]
    })
    for (const use of late) await refusal(use(), 'ASSENT_BRANCH_ENDED', 'unknown')
    await expectNothing(orders, stock)
  })
})

describe('transaction control inside a branch', () => {
  test.each([
    'commit',
    'COMMIT AND CHAIN',
    'end',
    'rollback',
    'abort',
    'begin',
    'start transaction',
    "prepare transaction 'x'",
    "commit prepared 'x'",
    "rollback prepared 'x'",
    'select 1; commit',
    '/* hello */ commit',
    '-- x\ncommit',
    'rollback and chain',
    'rollback work',
    'select $a$ ; $a$; commit',
    "select E'\\''; commit; --'",
  ])('%s is refused, and nothing is left', async (text) => {
    const { assent, orders, stock } = await openShop()
    const error = await refusal(
      assent.transaction(async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query('insert into t values (1)')
        await db.stock.query(text)
      }),
      'ASSENT_TRANSACTION_CONTROL',
    )
    expect(error.message).toMatch(/was not sent.*SAVEPOINT/)
    await expectNothing(orders, stock)
  })

  test('savepoints pass, and a mark can’t be lost to one (fault 115)', async () => {
    const { assent, orders, stock } = await openShop()
    await assent.transaction(async (db) => {
      await db.orders.query('savepoint a')
      await db.orders.query('insert into t values (1)')
      await rejection(db.orders.query('select 1/0'))
      await db.orders.query('rollback to a')
      await db.orders.query('insert into t values (2)')
      await db.orders.query('release savepoint a')
      await db.stock.query("select 'it''s; commit' as \"begin; commit\"")
      await db.stock.query('insert into t values (1)')
      await db.stock.query('savepoint b')
      await db.stock.query('insert into t values (2)')
      await db.stock.query('rollback to b')
    })
    for (const database of [orders, stock]) {
      expect(await database.count()).toBe(1)
      expect(await database.sql('select decision from assent.mark')).toEqual([
        { decision: 'commit' },
      ])
    }
  })

  test.each([
    ['commit; begin', 'unknown', 1],
    ['commit and chain', 'unknown', 1],
    ['rollback; begin', 'aborted', 0],
  ] as const)(
    'hidden from us (%s), it is noticed and told as it is (fault 113)',
    async (hidden, outcome, rows) => {
      const { assent, orders, stock } = await openShop()
      const work = async (throws: boolean): Promise<unknown> =>
        assent.transaction(async (db) => {
          await db.orders.query('insert into t values (1)')
          await db.stock.query('insert into t values (1)')
          await db.stock.query('set standard_conforming_strings = off')
          await db.stock.query(`select '\\''; ${hidden}; --'`)
          await db.stock.query('insert into t values (1)')
          if (throws) throw new Error('no')
        })
      await refusal(work(false), 'ASSENT_TRANSACTION_CONTROL', outcome)
      expect([await orders.count(), await stock.count()]).toEqual([0, rows])
      expect(await stock.prepared()).toEqual([])
      // "Rethrown as it is" would say aborted; that would be a lie when a part was committed.
      const error = await rejection(work(true))
      if (outcome === 'unknown') expect(error).toMatchObject({ outcome, cause: { message: 'no' } })
      else expect(error).toEqual(new Error('no'))
    },
  )

  test('a hidden ROLLBACK AND CHAIN behind a savepoint is caught by the branch’s proof', async () => {
    const { assent, orders, stock } = await openShop()
    const work = assent.transaction(async (db) => {
      await db.orders.query('insert into t values (1)')
      // A ROLLBACK TO that failed leaves the guard one tag short of what it expects.
      await db.stock.query('savepoint a')
      await rejection(db.stock.query('rollback to b'))
      await db.stock.query('rollback to a')
      await db.stock.query('insert into t values (1)')
      await db.stock.query('set standard_conforming_strings = off')
      await db.stock.query("select '\\''; rollback and chain; --'")
      await db.stock.query('insert into t values (2)')
    })
    await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
    await expectNothing(orders, stock)
  })
})

describe('a swallowed error', () => {
  test.each(['orders', 'stock'] as const)(
    'in %s aborts everything and is the cause (fault 114)',
    async (where) => {
      const { assent, orders, stock } = await openShop()
      const error = await refusal(
        assent.transaction(async (db) => {
          await db.orders.query('insert into t values (1)')
          await db.stock.query('insert into t values (1)')
          await rejection(db[where].query('select 1/0'))
          await rejection(db[where].query('insert into t values (2)'))
        }),
        'ASSENT_SWALLOWED_ERROR',
      )
      expect(error.cause).toMatchObject({ code: '22012' })
      await expectNothing(orders, stock)
    },
  )

  test('in the only database too', async () => {
    const { assent, orders } = await openShop()
    await refusal(
      assent.transaction(async (db) => {
        await db.orders.query('insert into t values (1)')
        await rejection(db.orders.query('select 1/0'))
      }),
      'ASSENT_SWALLOWED_ERROR',
    )
    await expectNothing(orders)
  })
})

describe('databases that can’t be used', () => {
  async function attempt(config: pg.PoolConfig, options = {}): Promise<AssentError> {
    const orders = await freshDatabase('first')
    const pool = new pg.Pool(config)
    pool.on('error', () => undefined)
    await using assent = createAssent({
      app: 'shop',
      participants: { orders: participant(orders.pool), stock: participant(pool, options) },
      onReport: () => undefined,
    })
    const error = await rejection(
      assent.transaction(
        async (db) => {
          await db.orders.query('insert into t values (1)')
          await db.stock.query('insert into t values (1)')
        },
        { timeoutMs: 10_000 },
      ),
    )
    await expectNothing(orders)
    await pool.end()
    expect(error).toBeInstanceOf(AssentError)
    const { message, stack, cause } = error as AssentError
    const { inspect } = await import('node:util')
    for (const text of [
      message,
      stack,
      inspect(cause),
      inspect(error, { depth: 10, showHidden: true }),
    ]) {
      expect(text).not.toContain(SECRET)
    }
    return error as AssentError
  }

  test('unreachable', async () => {
    const error = await attempt({ host: '127.0.0.1', port: 1, password: SECRET })
    expect(error).toMatchObject({ code: 'ASSENT_UNREACHABLE', outcome: 'aborted', retryable: true })
    expect(error.message).toMatch(/stock.*ECONNREFUSED.*Check that the server runs/)
  })

  test('wrong password', async () => {
    const { url } = await freshDatabase('second')
    const wrong = new URL(url)
    wrong.password = SECRET
    const error = await attempt({ connectionString: wrong.href })
    expect(error).toMatchObject({ code: 'ASSENT_CREDENTIALS', outcome: 'aborted' })
  })

  test('no such database', async () => {
    const { url } = await freshDatabase('second')
    const error = await attempt({ connectionString: url.replace(/[^/]*$/, 'nowhere') })
    expect(error).toMatchObject({ code: 'ASSENT_CREDENTIALS' })
    expect(error.message).toMatch(/"nowhere" does not exist/)
  })

  test('a connection string that can’t be read', async () => {
    const error = await attempt({ connectionString: `postgres://u:${SECRET}@[nonsense/x` })
    expect(error).toMatchObject({ code: 'ASSENT_UNREACHABLE', outcome: 'aborted' })
  })
})
