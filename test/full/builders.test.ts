/**
 * What is built on node-postgres works on a branch as it does on a client of its own: cursors,
 * streams, and query builders that are given `orders.client`.
 */
import { describe, expect, test } from 'vitest'
import type pg from 'pg'
import { fromSet } from '../../harness/on-demand.ts'
import { expectNothing, openShop, refusal, rejection } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'

/** In a test, not at the top: they are installed for the long tests only, and collected by others. */
const load = (name: string): unknown => fromSet('drivers')(name)

interface Row {
  readonly x: number
}
interface Cursor {
  read(rows: number): Promise<Row[]>
  close(): Promise<void>
}
type Submits = new (text: string, values?: readonly unknown[], config?: object) => unknown

function cursorOf(...of: ConstructorParameters<Submits>): unknown {
  return new (load('pg-cursor') as Submits)(...of)
}

function streamOf(...of: ConstructorParameters<Submits>): unknown {
  return new (load('pg-query-stream') as Submits)(...of)
}

/** `query` as pg types it knows no cursors; the pool's own types do, where they are installed. */
type AnyQuery = (query: unknown) => unknown
const SERIES = 'select generate_series(1, $1) as x'
const handles = ['handle', 'client'] as const

function queryOf(db: Handles, kind: (typeof handles)[number]): AnyQuery {
  const handle = kind === 'handle' ? db.orders : db.orders.client
  return handle.query.bind(handle)
}

type Work = Parameters<Shop['assent']['transaction']>[0]
type Handles = Parameters<Work>[0]

describe.each(handles)('through the %s', (kind) => {
  test('a cursor reads in portions, beside other statements, and its transaction commits', async () => {
    const { assent, orders, stock } = await openShop()
    const seen: number[][] = []
    await assent.transaction(async (db) => {
      const cursor = queryOf(db, kind)(cursorOf(SERIES, [5])) as Cursor
      for (;;) {
        const rows = await cursor.read(2)
        if (rows.length === 0) break
        seen.push(rows.map(({ x }) => x))
      }
      await cursor.close()
      await db.orders.query('insert into t values (1)')
      await db.stock.query('insert into t values (1)')
    })
    expect(seen).toEqual([[1, 2], [3, 4], [5]])
    expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  })

  test('a cursor that was closed half-way leaves a branch that commits', async () => {
    const { assent, orders, stock } = await openShop()
    await assent.transaction(async (db) => {
      await db.stock.query('insert into t values (1)')
      await db.orders.query('insert into t values (1)')
      const cursor = queryOf(db, kind)(cursorOf(SERIES, [1000])) as Cursor
      expect(await cursor.read(3)).toHaveLength(3)
      await cursor.close()
    })
    expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  })

  test('a cursor whose statement fails aborts its transaction', async () => {
    const { assent, orders, stock } = await openShop()
    const error = await refusal(
      assent.transaction(async (db) => {
        await db.stock.query('insert into t values (1)')
        const cursor = queryOf(db, kind)(cursorOf('select 1 / (2 - $1) as x', [2])) as Cursor
        expect(await rejection(cursor.read(1))).toMatchObject({ code: '22012' })
        await db.stock.query('insert into t values (2)')
      }),
      'ASSENT_SWALLOWED_ERROR',
    )
    expect(error.cause).toMatchObject({ code: '22012' })
    expect([await orders.count(), await stock.count()]).toEqual([0, 0])
  })

  test('a cursor that nobody closes keeps its branch until time is over: aborted', async () => {
    const { assent, orders, stock } = await openShop()
    const open = assent.transaction(
      async (db) => {
        await db.stock.query('insert into t values (1)')
        await db.orders.query('insert into t values (1)')
        await (queryOf(db, kind)(cursorOf(SERIES, [1000])) as Cursor).read(3)
      },
      { timeoutMs: 500 },
    )
    await refusal(open, 'ASSENT_TIMEOUT')
    await expectNothing(orders, stock)
  })

  test('a stream is read to its end, and its transaction commits', async () => {
    const { assent, orders, stock } = await openShop()
    let sum = 0
    await assent.transaction(async (db) => {
      await db.stock.query('insert into t values (1)')
      const query = streamOf(SERIES, [1000], { batchSize: 64 })
      const stream = queryOf(db, kind)(query) as AsyncIterable<Row>
      for await (const { x } of stream) sum += x
      await db.orders.query('insert into t values (1)')
    })
    expect(sum).toBe(500_500)
    expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  })

  test('a stream that was left half-way leaves a branch that commits', async () => {
    const { assent, orders, stock } = await openShop()
    await assent.transaction(async (db) => {
      await db.stock.query('insert into t values (1)')
      const query = streamOf(SERIES, [1000], { batchSize: 8 })
      for await (const { x } of queryOf(db, kind)(query) as AsyncIterable<Row>) if (x === 20) break
      await db.orders.query('insert into t values (1)')
    })
    expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  })
})

interface KyselyModule {
  readonly Kysely: new (config: object) => {
    insertInto(table: string): {
      values(row: object): { returning(column: string): { execute(): Promise<readonly Row[]> } }
    }
    selectFrom(table: string): {
      selectAll(): { execute(): Promise<readonly Row[]> }
    }
    transaction(): { execute(work: () => Promise<void>): Promise<void> }
  }
  readonly PostgresDialect: new (config: object) => object
}

describe('Kysely on the client of a branch', () => {
  /** On a pool of one connection, the branch's. */
  const on = (client: pg.PoolClient) => {
    const { Kysely, PostgresDialect } = load('kysely') as KyselyModule
    const pool = { connect: () => Promise.resolve(client), end: () => Promise.resolve() }
    return new Kysely({ dialect: new PostgresDialect({ pool }) })
  }

  test('writes in two databases, and both commit', async () => {
    const { assent, orders, stock } = await openShop()
    const rows = await assent.transaction(async (db) => {
      const [first, second] = [on(db.orders.client), on(db.stock.client)]
      await second.insertInto('t').values({ x: 2 }).returning('x').execute()
      await first.insertInto('t').values({ x: 1 }).returning('x').execute()
      return first.selectFrom('t').selectAll().execute()
    })
    expect(rows).toEqual([{ x: 1 }])
    expect(await orders.sql('select x from t')).toEqual([{ x: 1 }])
    expect(await stock.sql('select x from t')).toEqual([{ x: 2 }])
  })

  test('is refused its own transaction, and nothing commits', async () => {
    const { assent, orders } = await openShop()
    const nested = assent.transaction((db) =>
      on(db.orders.client)
        .transaction()
        .execute(() => Promise.resolve()),
    )
    await refusal(nested, 'ASSENT_TRANSACTION_CONTROL')
    expect(await orders.count()).toBe(0)
  })
})

interface DrizzleDatabase {
  insert(table: object): { values(row: object): { returning(): Promise<readonly Row[]> } }
  select(): { from(table: object): Promise<readonly Row[]> }
  transaction(work: () => Promise<void>): Promise<void>
}

describe('Drizzle on the client of a branch', () => {
  const drizzle = (client: pg.PoolClient): DrizzleDatabase => {
    const loaded = load('drizzle-orm/node-postgres') as {
      drizzle: (client: pg.PoolClient) => DrizzleDatabase
    }
    return loaded.drizzle(client)
  }
  const tableT = (): object => {
    const { pgTable, integer } = load('drizzle-orm/pg-core') as {
      pgTable: (name: string, columns: object) => object
      integer: (name: string) => object
    }
    return pgTable('t', { x: integer('x') })
  }

  test('writes in two databases, and both commit', async () => {
    const { assent, orders, stock } = await openShop()
    const rows = await assent.transaction(async (db) => {
      const t = tableT()
      await drizzle(db.stock.client).insert(t).values({ x: 2 }).returning()
      const first = drizzle(db.orders.client)
      await first.insert(t).values({ x: 1 }).returning()
      return first.select().from(t)
    })
    expect(rows).toEqual([{ x: 1 }])
    expect(await orders.sql('select x from t')).toEqual([{ x: 1 }])
    expect(await stock.sql('select x from t')).toEqual([{ x: 2 }])
  })

  test('is refused its own transaction, and nothing commits', async () => {
    const { assent, orders } = await openShop()
    const nested = assent.transaction((db) =>
      drizzle(db.orders.client).transaction(() => Promise.resolve()),
    )
    const error = await rejection(nested)
    const causes = [error, error instanceof Error ? error.cause : undefined]
    const refused = { code: 'ASSENT_TRANSACTION_CONTROL', outcome: 'aborted' }
    expect(causes).toContainEqual(expect.objectContaining(refused))
    expect(await orders.count()).toBe(0)
  })
})
