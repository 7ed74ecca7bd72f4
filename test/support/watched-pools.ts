/**
 * Pools whose every message is written down, for what is measured beside Assent.
 */
import { onTestFinished } from 'vitest'
import pg from 'pg'
import type { Pools } from '../../bench/rivals/with-client.ts'
import { WireProxy } from '../../harness/wire-proxy.ts'
import { freshDatabase } from './databases.ts'
import type { TestDatabase } from './databases.ts'

export interface Watched {
  readonly databases: readonly [TestDatabase, TestDatabase]
  readonly pools: Pools
  /** What passed, in order: `orders: BEGIN; insert …` when sent, `orders = BEGIN, INSERT 0 1`. */
  readonly lines: string[]
}

/** Two databases, each behind a proxy that writes down what passes, as `shorten` tells it. */
export async function watched(shorten: (sql: string) => string = withoutUuid): Promise<Watched> {
  const databases = [await freshDatabase('first'), await freshDatabase('second')] as const
  const lines: string[] = []
  const [orders, stock] = await Promise.all([
    watchedPool('orders', databases[0], lines, shorten),
    watchedPool('stock', databases[1], lines, shorten),
  ])
  return { databases, pools: { orders, stock }, lines }
}

function withoutUuid(sql: string): string {
  return sql.replace(/'.*-/, "'")
}

async function watchedPool(
  name: string,
  database: TestDatabase,
  lines: string[],
  shorten: (sql: string) => string,
): Promise<pg.Pool> {
  const proxy = await WireProxy.listen({
    targetPort: Number(new URL(database.url).port),
    name: () => name,
    onRequest: ({ message }) => {
      lines.push(`${name}: ${message.statements.map(({ sql }) => shorten(sql)).join('; ')}`)
      return 'pass'
    },
    onAnswer: (_named, answer) => {
      lines.push(
        `${name} = ${[...answer.commandTags, ...answer.errors.map((e) => e.sqlState)].join(', ')}`,
      )
      return 'pass'
    },
  })
  const pool = new pg.Pool({ connectionString: proxy.url(database.url) })
  onTestFinished(async () => {
    await pool.end()
    await proxy.close()
  })
  return pool
}

export async function counts(databases: readonly TestDatabase[]): Promise<readonly number[]> {
  return Promise.all(databases.map((database) => database.count()))
}

export async function prepared(databases: readonly TestDatabase[]): Promise<readonly string[]> {
  return (await Promise.all(databases.map((database) => database.prepared()))).flat()
}
