/**
 * What is measured beside Assent over PostgreSQL and MariaDB does what it says, and nothing more.
 */
import { expect, onTestFinished, test } from 'vitest'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { mixedByHand } from '../../bench/rivals/with-mariadb/by-hand.ts'
import { mixedByHandAwaited } from '../../bench/rivals/with-mariadb/by-hand-awaited.ts'
import { mixedNoGuarantee } from '../../bench/rivals/with-mariadb/no-guarantee.ts'
import type { MixedPools, MixedWork } from '../../bench/rivals/with-mariadb/with-both.ts'
import { MYSQL_WIRE } from '../../harness/mysql-frames.ts'
import { WireProxy } from '../../harness/wire-proxy.ts'
import type { WireProxyOptions } from '../../harness/wire-proxy.ts'
import { rejection } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { freshMariadb } from '../support/mariadb-databases.ts'
import type { MariadbDatabase } from '../support/mariadb-databases.ts'

interface Mixed {
  readonly orders: TestDatabase
  readonly mariadb: MariadbDatabase
  readonly pools: MixedPools
  /** What was sent, in order: `mariadb: XA START`. And what was answered: `mariadb = XA START`. */
  readonly lines: string[]
}

async function watched(): Promise<Mixed> {
  const [orders, mariadb] = await Promise.all([freshDatabase('first'), freshMariadb('maria')])
  const lines: string[] = []
  const watch = async (name: string, url: string, more: Partial<WireProxyOptions>) => {
    const proxy = await WireProxy.listen({
      ...more,
      targetPort: Number(new URL(url).port),
      name: ({ statements }) => shorten(statements.map(({ sql }) => sql).join('; ')),
      onRequest: (named) => {
        lines.push(`${name}: ${named.name}`)
        return 'pass'
      },
      onAnswer: (named) => {
        lines.push(`${name} = ${named.name}`)
        return 'pass'
      },
    })
    onTestFinished(() => proxy.close())
    return proxy.url(url)
  }
  const pools = {
    orders: new pg.Pool({ connectionString: await watch('orders', orders.url, {}) }),
    mariadb: mysql.createPool(await watch('mariadb', mariadb.url, { wire: MYSQL_WIRE })),
  }
  onTestFinished(async () => {
    await Promise.all([pools.orders.end(), pools.mariadb.end()])
  })
  return { orders, mariadb, pools, lines }
}

function shorten(sql: string): string {
  return sql.replace(/ '[0-9a-f-]{36}'/, '')
}

const WORK: MixedWork = {
  orders: { name: 'insert', text: 'insert into t values ($1)', values: [1] },
  mariadb: { sql: 'insert into t values (?)', values: [1] },
}
/** Deferred, so that it fails at PREPARE and not before. */
const UNIQUE = 'alter table t add unique (x) deferrable initially deferred'

const UUID = /^[0-9a-f-]{36}$/

const sentIn = (lines: readonly string[], name: string): readonly string[] =>
  lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))

const counts = async ({ orders, mariadb }: Mixed): Promise<readonly number[]> => [
  await orders.count(),
  await mariadb.count(),
]

const BY_HAND = [
  ['by hand', mixedByHand],
  ['by hand, awaited', mixedByHandAwaited],
] as const

test('by hand: both prepare at the same time, before either commits', async () => {
  const mixed = await watched()
  await mixedByHand(mixed.pools, WORK)
  const { lines } = mixed
  expect(sentIn(lines, 'orders')).toEqual([
    'BEGIN; insert into t values ($1)',
    'PREPARE TRANSACTION',
    'COMMIT PREPARED',
  ])
  expect(sentIn(lines, 'mariadb')).toEqual([
    ...['XA START', 'insert into t values (1)', 'XA END', 'XA PREPARE', 'XA COMMIT'],
  ])
  const at = (line: string): number => lines.indexOf(line)
  const prepared = [at('orders = PREPARE TRANSACTION'), at('mariadb = XA PREPARE')]
  expect(Math.max(...prepared)).toBeLessThan(
    Math.min(at('orders: COMMIT PREPARED'), at('mariadb: XA COMMIT')),
  )
  expect(Math.max(at('orders: PREPARE TRANSACTION'), at('mariadb: XA END'))).toBeLessThan(
    Math.min(...prepared),
  )
  expect(await counts(mixed)).toEqual([1, 1])
})

test('by hand, awaited: each message is answered before the next one leaves', async () => {
  const mixed = await watched()
  await mixedByHandAwaited(mixed.pools, WORK)
  const pair = (name: string, text: string): readonly string[] => [
    `${name}: ${text}`,
    `${name} = ${text}`,
  ]
  expect(mixed.lines).toEqual([
    ...pair('orders', 'BEGIN'),
    ...pair('orders', 'insert into t values ($1)'),
    ...pair('mariadb', 'XA START'),
    ...pair('mariadb', 'insert into t values (1)'),
    ...pair('orders', 'PREPARE TRANSACTION'),
    ...pair('mariadb', 'XA END'),
    ...pair('mariadb', 'XA PREPARE'),
    ...pair('orders', 'COMMIT PREPARED'),
    ...pair('mariadb', 'XA COMMIT'),
  ])
  expect(await counts(mixed)).toEqual([1, 1])
})

test('no guarantee: both COMMITs at the same time', async () => {
  const mixed = await watched()
  await mixedNoGuarantee(mixed.pools, WORK)
  expect(sentIn(mixed.lines, 'mariadb')).toEqual([
    ...['START TRANSACTION', 'insert into t values (1)', 'COMMIT'],
  ])
  expect(sentIn(mixed.lines, 'orders')).toEqual(['BEGIN; insert into t values ($1)', 'COMMIT'])
  expect(await counts(mixed)).toEqual([1, 1])
})

test.each(BY_HAND)('%s: a failed PREPARE undoes the other', async (_name, run) => {
  const mixed = await watched()
  await mixed.orders.sql(UNIQUE)
  await mixed.orders.sql('insert into t values (1)')
  expect(await rejection(run(mixed.pools, WORK))).toMatchObject({ code: '23505' })
  expect(await counts(mixed)).toEqual([1, 0])
  // Other tests prepare on the same server, under other ids.
  const byHand = (await mixed.mariadb.prepared()).filter(({ gtrid }) => UUID.test(gtrid))
  expect(byHand).toEqual([])
  expect(await mixed.orders.prepared()).toEqual([])
})

test.each([...BY_HAND, ['no guarantee', mixedNoGuarantee] as const])(
  '%s: a failed statement leaves nothing anywhere',
  async (_name, run) => {
    const mixed = await watched()
    const failing = { ...WORK, mariadb: { sql: 'insert into nowhere values (?)', values: [1] } }
    expect(await rejection(run(mixed.pools, failing))).toMatchObject({ errno: 1146 })
    expect(await counts(mixed)).toEqual([0, 0])
    await run(mixed.pools, WORK)
    expect(await counts(mixed)).toEqual([1, 1])
  },
)
