/**
 * The claim that goes along with the first statement of the branch that decides: what it spares, and
 * what becomes of it when something turns out otherwise.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import type { Plan, Report } from 'assent'
import { pg as participant } from 'assent/pg'
import { WireProxy } from '../../harness/wire-proxy.ts'
import { refusal, rejection } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { kindOfMessage } from '../support/message-kinds.ts'

type Name = 'orders' | 'stock' | 'ledger'

/** Longer than a decider is taken to be there without being asked. */
const SILENCE = 'select pg_sleep(0.3)'

/** Three databases, each behind a proxy that writes down which messages of Assent's pass. */
async function observed(config: pg.PoolConfig = {}, ledgerOn: 'first' | 'unprepared' = 'first') {
  const databases = {
    orders: await freshDatabase('first'),
    stock: await freshDatabase('second'),
    ledger: await freshDatabase(ledgerOn),
  }
  const said: string[] = []
  const reports: Report[] = []
  const through = async (name: Name) => {
    const { url } = databases[name]
    const proxy = await WireProxy.listen({
      targetPort: Number(new URL(url).port),
      name: (message) => kindOfMessage(message),
      onRequest: ({ name: kind }) => {
        said.push(`${name} ${kind}`)
        return 'pass'
      },
      onAnswer: () => 'pass',
    })
    const pool = new pg.Pool({ connectionString: proxy.url(url), ...config })
    pool.on('error', () => undefined)
    onTestFinished(async () => {
      await pool.end()
      await proxy.close()
    })
    return { pool, definition: participant(pool, { recovery: { connectionString: url } }) }
  }
  const ways = {
    orders: await through('orders'),
    stock: await through('stock'),
    ledger: await through('ledger'),
  }
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: ways.orders.definition,
      stock: ways.stock.definition,
      ledger: ways.ledger.definition,
    },
    onReport: (report) => reports.push(report),
  })
  onTestFinished(() => assent.close())
  await assent.migrate()
  const counts = () => Promise.all(Object.values(databases).map((each) => each.count()))
  const marks = async (): Promise<Record<Name, readonly unknown[]>> => {
    const read = (each: TestDatabase): Promise<readonly unknown[]> =>
      each.sql('select register, participants from assent.mark')
    const [orders, stock, ledger] = await Promise.all(Object.values(databases).map(read))
    return { orders: orders!, stock: stock!, ledger: ledger! }
  }
  return { assent, databases, ways, said, reports, counts, marks }
}

const INSERT = 'insert into t values (1)'

describe('a claim that goes along with the first statement', () => {
  test('spares a message: the second that writes decides, and is heard of only at its COMMIT', async () => {
    const { assent, said, counts, marks } = await observed()
    let plan: Plan | undefined
    await assent.transaction(async ({ orders, stock }, tx) => {
      tx.onCommitted(() => (plan = tx.plan))
      await stock.query(INSERT)
      await orders.query(INSERT)
    })
    expect(plan).toMatchObject({ decider: 'orders', voters: ['stock'] })
    expect(said).toEqual(['orders first-claim', 'stock vote', 'orders decide', 'stock apply'])
    expect(await counts()).toEqual([1, 1, 0])
    const mark = { register: 'orders', participants: ['orders', 'stock'] }
    expect(await marks()).toEqual({ orders: [mark], stock: [mark], ledger: [] })
  })

  test('goes along as well when the first statements are sent at once', async () => {
    const { assent, said, counts } = await observed()
    await assent.transaction(({ orders, stock }) =>
      Promise.all([stock.query(INSERT), orders.query(INSERT)]),
    )
    expect(said.filter((each) => each.endsWith('claim'))).toEqual(['orders first-claim'])
    expect(await counts()).toEqual([1, 1, 0])
  })

  test.each(['repeatable read', 'serializable'] as const)('works under %s', async (isolation) => {
    const { assent, said, counts } = await observed()
    const write = async ({
      orders,
      stock,
    }: Parameters<Parameters<typeof assent.transaction>[0]>[0]) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      await orders.query('select count(*) from t')
    }
    await assent.transaction(write, { branchIsolation: isolation })
    await assent.transaction(write, { branchIsolation: isolation })
    expect(said.filter((each) => each === 'orders first-claim')).toHaveLength(2)
    expect(await counts()).toEqual([2, 2, 0])
  })

  test.each(['lock table t', 'set transaction isolation level serializable'])(
    'is written last where the first statement must come before any snapshot: %s',
    async (first) => {
      const { assent, said, counts } = await observed()
      await assent.transaction(async ({ orders, stock }) => {
        await stock.query(INSERT)
        await orders.query(first)
        await orders.query(INSERT)
      })
      expect(said[0]).toBe('orders claim')
      expect(await counts()).toEqual([1, 1, 0])
    },
  )

  test('is written last by a decider that was asked for and is used first', async () => {
    const { assent, said } = await observed()
    await assent.transaction(
      async ({ orders, stock }) => {
        await orders.query(INSERT)
        await stock.query(INSERT)
      },
      { decider: 'orders' },
    )
    expect(said).toEqual(['orders claim', 'stock vote', 'orders decide', 'stock apply'])
  })
})

describe('before others prepare, the decider is asked', () => {
  test.each([
    ['when it has been silent for long', [], SILENCE],
    ['when a savepoint was rolled back to', ['savepoint a', INSERT, 'rollback to a'], undefined],
  ] as const)('%s', async (_when, statements, silence) => {
    const { assent, said, counts } = await observed()
    await assent.transaction(async ({ orders, stock }) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      for (const statement of statements) await orders.query(statement)
      if (silence !== undefined) await stock.query(silence)
    })
    expect(said).toEqual([
      ...['orders first-claim', 'orders secure', 'stock vote', 'orders decide', 'stock apply'],
    ])
    expect(await counts()).toEqual([1, 1, 0])
  })

  test('where constraints are deferred: one that fails is a no before anybody has prepared', async () => {
    const { assent, databases, said, counts } = await observed()
    await databases.orders.sql('create table u (x int unique deferrable initially deferred)')
    const work = assent.transaction(async ({ orders, stock }) => {
      await stock.query(INSERT)
      await orders.query('insert into u values (1), (1)')
    })
    expect((await refusal(work, 'ASSENT_REFUSED')).cause).toMatchObject({ code: '23505' })
    expect(said).not.toContain('stock vote')
    expect(await counts()).toEqual([0, 0, 0])
  })
})

describe('a third database that joins later', () => {
  test('is in the claim, which is written anew', async () => {
    const { assent, said, counts, marks } = await observed()
    await assent.transaction(async ({ orders, stock, ledger }) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      await ledger.query(INSERT)
    })
    expect(said.slice(0, 2)).toEqual(['orders first-claim', 'orders claim'])
    expect(await counts()).toEqual([1, 1, 1])
    const mark = { register: 'orders', participants: ['orders', 'stock', 'ledger'] }
    expect(await marks()).toEqual({ orders: [mark], stock: [mark], ledger: [mark] })
  })

  test('and can’t prepare decides: the claim that was written becomes a receipt', async () => {
    const { assent, said, counts, marks } = await observed({}, 'unprepared')
    await assent.transaction(async ({ orders, stock, ledger }) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      await ledger.query(INSERT)
    })
    expect(said.slice(0, 2)).toEqual(['orders first-claim', 'ledger claim'])
    expect(said).toContain('orders vote')
    expect(await counts()).toEqual([1, 1, 1])
    const mark = { register: 'ledger', participants: ['ledger', 'stock', 'orders'] }
    expect(await marks()).toEqual({ orders: [mark], stock: [mark], ledger: [mark] })
  })
})

describe('a claim that can’t go along', () => {
  test('because its table is gone: the statement runs once, and the tables are made again', async () => {
    const { assent, databases, counts } = await observed()
    await databases.orders.sql('drop schema assent cascade')
    await assent.transaction(async ({ orders, stock }) => {
      await stock.query(INSERT)
      expect((await orders.query(INSERT)).rowCount).toBe(1)
    })
    expect(await counts()).toEqual([1, 1, 0])
  })

  test('because somebody left another role behind: the statement runs once, on another connection', async () => {
    const { assent, databases, ways, said, counts } = await observed({ max: 2 })
    const role = `lesser_${databases.orders.name}`
    await databases.orders.sql(`create role ${role}`)
    await databases.orders.sql(`grant all on t to ${role}`)
    onTestFinished(async () => {
      await databases.orders.sql(`drop owned by ${role}`)
      await databases.orders.sql(`drop role ${role}`)
    })
    const write = (): Promise<void> =>
      assent.transaction(async ({ orders, stock }) => {
        await stock.query(INSERT)
        await orders.query(INSERT)
      })
    await write()
    // The connection that it used, which the pool gives next.
    await ways.orders.pool.query(`set role ${role}`)
    await write()
    await write()
    expect(await counts()).toEqual([3, 3, 0])
    // One was refused; for a while no other goes along.
    expect(said.filter((each) => each === 'orders first-claim')).toHaveLength(2)
  })
})

describe('what the user’s statements do to it', () => {
  test('a hidden COMMIT makes it durable: unknown, and it is taken back', async () => {
    const { assent, databases, reports, marks } = await observed()
    let txid = ''
    const work = assent.transaction(async ({ orders, stock }, tx) => {
      txid = tx.id
      await stock.query(INSERT)
      await orders.query(INSERT)
      await orders.query('set standard_conforming_strings = off')
      await orders.query("select '\\''; commit; --'")
    })
    await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
    expect(await databases.orders.count()).toBe(1)
    expect(await marks()).toEqual({ orders: [], stock: [], ledger: [] })
    expect(await assent.outcome(txid)).toEqual({ outcome: 'unknown', reason: 'not-found' })
    expect(reports.filter((report) => report.type.includes('lost'))).toEqual([])
  })

  test('it is deleted: aborted before anybody is told otherwise', async () => {
    const { assent, databases, counts } = await observed()
    const work = assent.transaction(async ({ orders, stock }) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      await orders.query('delete from assent.mark')
    })
    const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL')
    expect(error.message).toMatch(/its claim is gone/)
    expect(await counts()).toEqual([0, 0, 0])
    expect(await databases.stock.prepared()).toEqual([])
  })
})

describe('a transaction that was replaced without a trace', () => {
  /**
   * A statement that was parsed under a name, outside of any transaction of Assent's, is run by a
   * function: no tag and no status tells of it.
   */
  async function replaceable() {
    const scene = await observed({ max: 1 })
    for (const name of ['orders', 'stock'] as const) {
      await scene.databases[name].sql(`create function run(text) returns int language plpgsql as
        'begin execute $1; return 1; end'`)
      const client = await scene.ways[name].pool.connect()
      await client.query('begin')
      await client.query({ name: 'again', text: 'ROLLBACK AND CHAIN' })
      await client.query('rollback')
      client.release()
    }
    return scene
  }
  const REPLACE = "select run('EXECUTE again')"

  test('is refused in one database: half of it would be committed', async () => {
    const { assent, counts } = await replaceable()
    const work = assent.transaction(async ({ orders }) => {
      await orders.query(INSERT)
      await orders.query(REPLACE)
      await orders.query('insert into t values (2)')
    })
    await refusal(work, 'ASSENT_TRANSACTION_CONTROL')
    expect(await counts()).toEqual([0, 0, 0])
  })

  test.each(['orders', 'stock'] as const)('is refused where %s decides', async (decider) => {
    const { assent, counts, databases } = await replaceable()
    for (const replaced of ['orders', 'stock'] as const) {
      const work = assent.transaction(
        async (db) => {
          await db.stock.query(INSERT)
          await db.orders.query(INSERT)
          await db[replaced].query(REPLACE)
          await db[replaced].query('insert into t values (2)')
        },
        { decider },
      )
      expect(await rejection(work)).toMatchObject({ outcome: 'aborted' })
    }
    expect(await counts()).toEqual([0, 0, 0])
    expect(await databases.stock.prepared()).toEqual([])
  })

  test.each(['set local', 'select set_config'] as const)(
    'can’t be told from one whose idle time-out was changed: %s is refused',
    async (how) => {
      const { assent, counts } = await observed()
      const text =
        how === 'set local'
          ? 'set local idle_in_transaction_session_timeout = 0'
          : "select set_config('idle_in_transaction_session_timeout', '0', true)"
      const work = assent.transaction(async ({ orders }) => {
        await orders.query(INSERT)
        await orders.query(text)
      })
      const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL')
      expect(error.message).toMatch(/timeoutMs instead/)
      expect(await counts()).toEqual([0, 0, 0])
    },
  )
})
