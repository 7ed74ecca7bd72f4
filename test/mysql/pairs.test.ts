/**
 * Transactions over pairs of systems, each as decider.
 */
import { describe, expect, test } from 'vitest'
import type { Plan } from 'assent'
import { refusal, rejection } from '../support/assent.ts'
import { openPairing } from '../support/pairs.ts'
import type { AnyHandle, Kind, Pairing } from '../support/pairs.ts'

const INSERT = 'insert into t values (1)'

type Both = Pairing<'orders' | 'stock'>

async function counts({ stores }: Both): Promise<unknown> {
  return [await stores.orders.count(), await stores.stock.count()]
}

async function expectNothingLeft({ app, stores }: Both): Promise<void> {
  for (const store of [stores.orders, stores.stock]) {
    expect(await store.prepared(app)).toEqual([])
    expect(await store.count()).toBe(0)
  }
}

const PAIRS: readonly (readonly [Kind, Kind])[] = [
  ['postgres', 'mariadb by mysql2'],
  ['postgres', 'mariadb by mariadb'],
  ['postgres that can’t prepare', 'mariadb by mysql2'],
  ['mariadb by mysql2', 'mariadb with a binary log'],
]

describe.each(PAIRS)('orders on %s, stock on %s', (orders, stock) => {
  const open = (): Promise<Both> => openPairing({ orders, stock })

  test.each(['orders', 'stock'] as const)('commits in both, decided by %s', async (decider) => {
    if (orders.includes('can’t') && decider === 'stock') return
    const pairing = await open()
    const txid = await pairing.assent.transaction(
      async (db, tx) => {
        await db.orders.query(INSERT)
        await db.stock.query(INSERT)
        return tx.id
      },
      { decider },
    )
    expect(await counts(pairing)).toEqual([1, 1])
    for (const store of [pairing.stores.orders, pairing.stores.stock]) {
      expect(await store.marks()).toEqual([{ txid, decision: 'commit', register: decider }])
      expect(await store.prepared(pairing.app)).toEqual([])
    }
    expect(await pairing.assent.outcome(txid)).toEqual({ outcome: 'committed' })
  })

  test('rolls back everywhere and rethrows what the function threw, as it is', async () => {
    const pairing = await open()
    const thrown = new Error('sold out')
    const caught = await rejection(
      pairing.assent.transaction(async (db) => {
        await db.orders.query(INSERT)
        await db.stock.query(INSERT)
        throw thrown
      }),
    )
    expect(caught).toBe(thrown)
    await expectNothingLeft(pairing)
  })

  test('drains statements that were not awaited', async () => {
    const pairing = await open()
    await pairing.assent.transaction((db) => {
      void db.orders.query(INSERT)
      void db.stock.query(INSERT)
      void db.orders.query(INSERT)
    })
    expect(await counts(pairing)).toEqual([2, 1])
  })

  test('aborts when the time is over before the decision', async () => {
    const pairing = await open()
    await refusal(
      pairing.assent.transaction(
        async (db, tx) => {
          await db.stock.query(INSERT)
          await db.orders.query(INSERT)
          await new Promise((resolve) => {
            tx.signal.addEventListener('abort', resolve)
          })
        },
        { timeoutMs: 300 },
      ),
      'ASSENT_TIMEOUT',
    )
    await expect.poll(() => counts(pairing)).toEqual([0, 0])
    await expectNothingLeft(pairing)
  })
})

describe('who decides', () => {
  async function planOf(
    kinds: Readonly<Record<'a' | 'b' | 'c', Kind>>,
    order: readonly ('a' | 'b' | 'c')[],
    decider?: 'a' | 'b' | 'c',
  ): Promise<{ decider: string; voters: readonly string[]; rows: readonly number[] }> {
    const { assent, stores } = await openPairing(kinds)
    let plan: Plan | undefined
    await assent.transaction(
      async (db, tx) => {
        tx.onCommitted(() => (plan = tx.plan))
        for (const name of order) await db[name].query(INSERT)
      },
      decider === undefined ? {} : { decider },
    )
    if (plan?.protocol !== 'two-phase') throw new Error('not two-phase')
    const rows = await Promise.all([stores.a, stores.b, stores.c].map((store) => store.count()))
    const registers = new Set(
      (await Promise.all(order.map((name) => stores[name].marks()))).flat().map((m) => m.register),
    )
    expect([...registers]).toEqual([plan.decider])
    return { decider: plan.decider, voters: plan.voters, rows }
  }

  const KINDS = {
    a: 'mariadb by mysql2',
    b: 'mariadb with a binary log',
    c: 'postgres',
  } as const

  test('the first of MariaDB, if it begins first or second', async () => {
    expect(await planOf(KINDS, ['a', 'b', 'c'])).toMatchObject({ decider: 'a', rows: [1, 1, 1] })
    expect(await planOf(KINDS, ['c', 'b', 'a'])).toMatchObject({ decider: 'b', rows: [1, 1, 1] })
  })

  test('the one that was asked for, also if it has nothing to write', async () => {
    expect(await planOf(KINDS, ['a', 'b', 'c'], 'c')).toMatchObject({ decider: 'c' })
    expect(await planOf(KINDS, ['b', 'c'], 'a')).toEqual({
      decider: 'a',
      voters: ['b', 'c'],
      rows: [0, 1, 1],
    })
    expect(await planOf(KINDS, ['a', 'b'], 'c')).toEqual({
      decider: 'c',
      voters: ['a', 'b'],
      rows: [1, 1, 0],
    })
  })

  test('the one that can’t prepare, if it has joined before', async () => {
    const kinds = { ...KINDS, c: 'postgres that can’t prepare' } as const
    expect(await planOf(kinds, ['c', 'a', 'b'])).toMatchObject({ decider: 'c', rows: [1, 1, 1] })
    await refusal(planOf(kinds, ['a', 'c', 'b']), 'ASSENT_CANNOT_PREPARE')
  })

  test('in parallel, all of them name the same', async () => {
    const { assent, stores } = await openPairing(KINDS)
    for (let round = 0; round < 5; round += 1) {
      await assent.transaction(async (db) => {
        await Promise.all([db.a.query(INSERT), db.b.query(INSERT), db.c.query(INSERT)])
      })
    }
    const marks = await Promise.all([stores.a, stores.b, stores.c].map((store) => store.marks()))
    expect(marks.map((each) => each.length)).toEqual([5, 5, 5])
    expect(new Set(marks.flat().map((mark) => mark.register)).size).toBe(1)
  })
})

describe('one that wrote alone, where another is to decide', () => {
  type Roles = { readonly plan: Plan | undefined; readonly pairing: Pairing<'orders' | 'stock'> }
  async function writeAlone(stock: Kind, receipt: boolean): Promise<Roles> {
    const kinds = { orders: 'postgres', stock } as const
    const pairing = await openPairing<'orders' | 'stock'>(kinds, { decider: 'orders' })
    let plan: Plan | undefined
    await pairing.assent.transaction(
      async (db, tx) => {
        tx.onCommitted(() => (plan = tx.plan))
        await db.stock.query(INSERT)
      },
      { receipt },
    )
    expect(await pairing.stores.stock.count()).toBe(1)
    return { plan, pairing }
  }

  test('commits by itself', async () => {
    const { plan } = await writeAlone('mariadb by mysql2', false)
    expect(plan).toMatchObject({ protocol: 'one-phase', writers: ['stock'] })
  })

  test('and by itself with a receipt, which is its own', async () => {
    const { plan, pairing } = await writeAlone('mariadb by mysql2', true)
    expect(plan).toMatchObject({ protocol: 'two-phase', decider: 'stock', voters: [] })
    expect(await pairing.stores.stock.marks()).toMatchObject([{ register: 'stock' }])
  })

  test('with a binary log has the other decide: it might come back prepared', async () => {
    for (const receipt of [false, true]) {
      const { plan } = await writeAlone('mariadb with a binary log', receipt)
      expect(plan).toMatchObject({ decider: 'orders', voters: ['stock'] })
    }
  })
})

describe('one database alone', () => {
  test.each(['mariadb by mysql2', 'mariadb by mariadb'] as const)(
    'on %s needs no tables of Assent, and no setting',
    async (kind) => {
      const { assent, stores } = await openPairing({ only: kind })
      await assent.transaction(({ only }) => only.query(INSERT))
      expect(await stores.only.count()).toBe(1)
      const tables = await stores.only.sql('show tables')
      expect(tables.map((row) => Object.values(row)[0])).toEqual(['t'])
    },
  )

  test('is marked where a receipt is asked for, and can be asked for then', async () => {
    const { assent, stores } = await openPairing({ only: 'mariadb with a binary log' })
    const txid = await assent.transaction(
      async (db, tx) => {
        await db.only.query(INSERT)
        return tx.id
      },
      { receipt: true },
    )
    expect(await stores.only.marks()).toEqual([{ txid, decision: 'commit', register: 'only' }])
  })

  test('reads only where it was declared so', async () => {
    const { assent, stores } = await openPairing({ only: 'mariadb by mysql2' })
    const written = assent.transaction(({ only }) => only.query(INSERT), { reads: ['only'] })
    expect(await rejection(written)).toMatchObject({ errno: 1792 })
    await assent.transaction(({ only }: { only: AnyHandle }) => only.query('select * from t'), {
      reads: ['only'],
    })
    expect(await stores.only.count()).toBe(0)
  })
})
