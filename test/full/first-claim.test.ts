/**
 * The claim that goes along with the first statement of the branch that decides: what it spares, and
 * what becomes of it when something turns out otherwise.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Plan } from 'assent'
import { refusal, rejection } from '../support/assent.ts'
import { observed } from '../support/observed.ts'

/** Longer than a decider is taken to be there without being asked. */
const SILENCE = 'select pg_sleep(0.3)'

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
  test('once its database has got something to run at COMMIT', async () => {
    const { assent, databases, said } = await observed({}, 'first', { retentionMs: 10_000 })
    await databases.orders.sql('create table u (x int unique deferrable initially deferred)')
    // As often as the epoch is read: 20 times within the retention.
    await expect
      .poll(async () => {
        await assent.transaction(async ({ orders, stock }) => {
          await stock.query(INSERT)
          await orders.query(INSERT)
        })
        return said
      })
      .toContain('orders secure')
  })

  test('when it has been silent for long', async () => {
    const { assent, said, counts } = await observed()
    await assent.transaction(async ({ orders, stock }) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      await stock.query(SILENCE)
    })
    expect(said).toEqual([
      ...['orders first-claim', 'orders secure', 'stock vote', 'orders decide', 'stock apply'],
    ])
    expect(await counts()).toEqual([1, 1, 0])
  })

  test('but not where a statement has set something else, like who the tenant is', async () => {
    const { assent, said, counts } = await observed()
    await assent.transaction(async ({ orders, stock }) => {
      for (const handle of [stock, orders]) {
        await handle.query("select set_config('app.tenant', $1, true)", ['a'])
        await handle.query('set search_path to public')
        await handle.query(INSERT)
      }
    })
    // What was prepared is ended on a connection of Assent's own, which is not seen here.
    expect(said).toEqual(['orders first-claim', 'stock vote', 'orders decide'])
    expect(await counts()).toEqual([1, 1, 0])
  })

  test('but not for a savepoint that was rolled back to: the claim is older', async () => {
    const { assent, said, counts } = await observed()
    await assent.transaction(async ({ orders, stock }) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      for (const statement of ['savepoint a', INSERT, 'rollback to a'])
        await orders.query(statement)
    })
    expect(said).toEqual(['orders first-claim', 'stock vote', 'orders decide', 'stock apply'])
    expect(await counts()).toEqual([1, 1, 0])
  })

  test('once more, where a statement may have set what its transaction is watched by', async () => {
    const { assent, said, counts } = await observed()
    for (const decider of ['orders', 'stock'] as const) {
      await assent.transaction(
        async ({ orders, stock }) => {
          await stock.query(INSERT)
          await orders.query(INSERT)
          for (const handle of [orders, stock]) {
            await handle.query('set default_transaction_read_only = off')
          }
        },
        { decider },
      )
    }
    const before = said.filter((each) => !/vote|decide|apply/.test(each))
    expect(before).toEqual([
      ...['orders first-claim', 'orders secure', 'orders prove-again'],
      ...['stock claim', 'stock prove-again'],
    ])
    expect(await counts()).toEqual([2, 2, 0])
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

  test.each([
    ['by a statement', 'delete from assent.mark'],
    [
      'by one that hides what it does',
      "do $$ begin execute 'delete from assent.ma' || 'rk'; end $$",
    ],
    ['by one that was parsed before', { name: 'wiper' }],
  ] as const)('it is deleted %s: nothing is committed', async (_how, statement) => {
    const { assent, ways, databases, said, counts } = await observed({ max: 1 })
    const client = await ways.orders.pool.connect()
    await client.query({ name: 'wiper', text: 'delete from assent.mark' })
    client.release()
    const work = assent.transaction(async ({ orders, stock }) => {
      await stock.query(INSERT)
      await orders.query(INSERT)
      await orders.query(statement as string)
    })
    const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
    expect(error.message).toMatch(/its claim is gone/)
    expect(said).toEqual(['orders first-claim', 'orders secure'])
    expect(await counts()).toEqual([0, 0, 0])
    expect(await databases.stock.prepared()).toEqual([])
  })
})

describe('a branch that claimed, and whose only other could not be had', () => {
  test.each(['at once', 'one after the other'] as const)(
    'commits nothing, though the error was caught: %s',
    async (how) => {
      const { assent, ways, marks, counts, reports } = await observed()
      await assent.transaction(async ({ orders, stock }) => {
        await stock.query(INSERT)
        await orders.query(INSERT)
      })
      const before = await marks()
      ways.stock.pool.connect = () => Promise.reject(new Error('no connection today'))
      const work = assent.transaction(async ({ orders, stock }) => {
        const optional = stock.query(INSERT)
        if (how === 'one after the other') await rejection(optional)
        await Promise.allSettled([optional, orders.query(INSERT)])
      })
      const error = await refusal(work, 'ASSENT_UNCLEAR')
      expect(error.message).toMatch(/stock could not take part.*no connection today/)
      expect(await counts()).toEqual([1, 1, 0])
      expect(await marks()).toEqual(before)
      expect(reports).toEqual([])
    },
  )
})
