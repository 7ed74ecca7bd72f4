import { describe, expect, onTestFinished, test } from 'vitest'
import type pg from 'pg'
import { bareDriver } from '../../bench/rivals/bare-driver.ts'
import { beginWith } from '../../bench/rivals/begin-with.ts'
import { byHand } from '../../bench/rivals/by-hand.ts'
import { byHandAwaited } from '../../bench/rivals/by-hand-awaited.ts'
import { noGuarantee } from '../../bench/rivals/no-guarantee.ts'
import type { Work } from '../../bench/rivals/with-client.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { rejection } from '../support/assent.ts'
import { counts, prepared, watched } from '../support/watched-pools.ts'

const insert = (x: number): pg.QueryConfig => ({
  name: 'insert',
  text: 'insert into t values ($1)',
  values: [x],
})
const WORK: Work = { orders: insert(1), stock: insert(1) }
/** Deferred, so that it fails at PREPARE and not before. */
const UNIQUE = 'alter table t add unique (x) deferrable initially deferred'

const at = (lines: readonly string[], line: string): number => {
  expect(lines).toContain(line)
  return lines.indexOf(line)
}

const sent = (lines: readonly string[], name: string): readonly string[] =>
  lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))

describe('by hand', () => {
  test('BEGIN leaves with the first statement, both prepare before either commits', async () => {
    const { databases, pools, lines } = await watched()
    await byHand(pools, WORK)
    for (const name of ['orders', 'stock']) {
      expect(sent(lines, name)).toEqual([
        'BEGIN; insert into t values ($1)',
        `PREPARE TRANSACTION '${name}'`,
        `COMMIT PREPARED '${name}'`,
      ])
    }
    const prepares = ['orders', 'stock'].map((name) => at(lines, `${name} = PREPARE TRANSACTION`))
    const commits = ['orders', 'stock'].map((name) =>
      at(lines, `${name}: COMMIT PREPARED '${name}'`),
    )
    expect(Math.max(...prepares)).toBeLessThan(Math.min(...commits))
    expect(await counts(databases)).toEqual([1, 1])
    expect(await prepared(databases)).toEqual([])
  })

  test('both prepare, and both commit, at the same time', async () => {
    const { pools, lines } = await watched()
    await byHand(pools, WORK)
    for (const what of ['PREPARE TRANSACTION', 'COMMIT PREPARED']) {
      const requests = ['orders', 'stock'].map((name) => at(lines, `${name}: ${what} '${name}'`))
      const answers = ['orders', 'stock'].map((name) => at(lines, `${name} = ${what}`))
      expect(Math.max(...requests)).toBeLessThan(Math.min(...answers))
    }
  })

  test.each([
    ['by hand', byHand],
    ['by hand, awaited', byHandAwaited],
  ])('%s: a failed PREPARE undoes the other', async (_name, run) => {
    const { databases, pools, lines } = await watched()
    await databases[1].sql(UNIQUE)
    await databases[1].sql('insert into t values (1)')
    expect(await rejection(run(pools, WORK))).toMatchObject({ code: '23505' })
    at(lines, 'orders = ROLLBACK PREPARED')
    expect(await counts(databases)).toEqual([0, 1])
    expect(await prepared(databases)).toEqual([])
  })

  test.each([
    ['no guarantee', noGuarantee],
    ['by hand', byHand],
    ['by hand, awaited', byHandAwaited],
  ])('%s: a failed statement leaves nothing anywhere', async (_name, run) => {
    const { databases, pools } = await watched()
    const failing = { ...WORK, stock: { text: 'insert into t values (1 / $1::int)', values: [0] } }
    expect(await rejection(run(pools, failing))).toMatchObject({ code: '22012' })
    expect(await counts(databases)).toEqual([0, 0])
    expect(await prepared(databases)).toEqual([])
    await run(pools, WORK)
    expect(await counts(databases)).toEqual([1, 1])
  })
})

test('by hand, awaited: each message is answered before the next one leaves', async () => {
  const { databases, pools, lines } = await watched()
  await byHandAwaited(pools, WORK)
  const one = (name: string, text: string, tag: string) => [`${name}: ${text}`, `${name} = ${tag}`]
  expect(lines).toEqual([
    ...one('orders', 'BEGIN', 'BEGIN'),
    ...one('orders', 'insert into t values ($1)', 'INSERT 0 1'),
    ...one('stock', 'BEGIN', 'BEGIN'),
    ...one('stock', 'insert into t values ($1)', 'INSERT 0 1'),
    ...one('orders', "PREPARE TRANSACTION 'orders'", 'PREPARE TRANSACTION'),
    ...one('stock', "PREPARE TRANSACTION 'stock'", 'PREPARE TRANSACTION'),
    ...one('orders', "COMMIT PREPARED 'orders'", 'COMMIT PREPARED'),
    ...one('stock', "COMMIT PREPARED 'stock'", 'COMMIT PREPARED'),
  ])
  expect(await counts(databases)).toEqual([1, 1])
})

test('no guarantee: two messages for each database, both COMMITs at the same time', async () => {
  const { databases, pools, lines } = await watched()
  await noGuarantee(pools, WORK)
  for (const name of ['orders', 'stock']) {
    expect(sent(lines, name)).toEqual(['BEGIN; insert into t values ($1)', 'COMMIT'])
  }
  const requests = ['orders', 'stock'].map((name) => at(lines, `${name}: COMMIT`))
  const answers = ['orders', 'stock'].map((name) => at(lines, `${name} = COMMIT`))
  expect(Math.max(...requests)).toBeLessThan(Math.min(...answers))
  expect(await counts(databases)).toEqual([1, 1])
})

test('the bare driver: three messages', async () => {
  const { databases, pools, lines } = await watched()
  await bareDriver(pools.orders, insert(1))
  expect(sent(lines, 'orders')).toEqual(['BEGIN', 'insert into t values ($1)', 'COMMIT'])
  expect(await counts(databases)).toEqual([1, 0])
})

describe('BEGIN with the first statement', () => {
  async function connected(): Promise<{ database: TestDatabase; client: pg.PoolClient }> {
    const database = await freshDatabase('first')
    const client = await database.pool.connect()
    onTestFinished(() => {
      client.release()
    })
    return { database, client }
  }

  test('gives the statement’s own result', async () => {
    const { client } = await connected()
    const begun = await beginWith(client, { text: 'select $1::int as n', values: [7] })
    expect(begun).toMatchObject({ command: 'SELECT', rowCount: 1, rows: [{ n: 7 }] })
    await client.query('rollback')
  })

  test('a failed BEGIN skips the statement, and its name can be used afterwards', async () => {
    const { database, client } = await connected()
    const failed = beginWith(client, insert(1), 'BEGIN ISOLATION LEVEL NONE')
    expect(await rejection(failed)).toMatchObject({ code: '42601' })
    expect(await database.count()).toBe(0)
    await beginWith(client, insert(2))
    await client.query(insert(3))
    await client.query('commit')
    expect(await database.sql('select x from t order by x')).toEqual([{ x: 2 }, { x: 3 }])
  })

  test('a failed statement is no parsed one, and a parsed one is not parsed again', async () => {
    const { pools, lines, databases } = await watched()
    const client = await pools.orders.connect()
    const wrong = beginWith(client, { ...insert(1), text: 'insert into nowhere values ($1)' })
    expect(await rejection(wrong)).toMatchObject({ code: '42P01' })
    await client.query('rollback')
    for (const x of [1, 2]) {
      await beginWith(client, insert(x))
      await client.query('commit')
    }
    const parsed = await client.query('select count(*)::int as n from pg_prepared_statements')
    expect(parsed.rows).toEqual([{ n: 1 }])
    client.release()
    expect(sent(lines, 'orders').filter((text) => text.startsWith('BEGIN'))).toEqual([
      'BEGIN; insert into nowhere values ($1)',
      'BEGIN; insert into t values ($1)',
      'BEGIN; insert into t values ($1)',
    ])
    expect(await counts(databases)).toEqual([2, 0])
  })
})
