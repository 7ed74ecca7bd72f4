/**
 * Servers of a test's own: for what can't be done to the servers that all tests share.
 */
import { onTestFinished } from 'vitest'
import pg from 'pg'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { lookingInto } from './databases.ts'
import type { TestDatabase } from './databases.ts'

/** A started server, removed when the test is over. */
export async function ownServer(
  name: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const server = await PostgresServer.create({ name, settings })
  onTestFinished(() => server.remove())
  await server.start()
  return server
}

let serial = 0

/** A fresh database on it, with a table `t (x int)`. Its pools survive the server's death. */
export async function ownDatabase(
  server: PostgresServer,
  config: pg.PoolConfig = {},
): Promise<TestDatabase> {
  return databaseAt(server, (url) => url, config)
}

/** The same, reached by another way than the server's own url. */
export async function databaseAt(
  server: PostgresServer,
  way: (serverUrl: string) => string,
  config: pg.PoolConfig = {},
): Promise<TestDatabase> {
  serial += 1
  const name = `own_${serial}`
  await server.createDatabase(name)
  const database = reach(name, way(server.url(name)), config)
  await database.sql('create table t (x int)')
  return database
}

/** A database that is there already. */
export function reach(name: string, url: string, config: pg.PoolConfig = {}): TestDatabase {
  const pool = new pg.Pool({ connectionString: url, ...config })
  const side = new pg.Pool({ connectionString: url, max: 2, application_name: 'witness' })
  for (const each of [pool, side]) each.on('error', () => undefined)
  onTestFinished(async () => {
    await Promise.all([pool, side].map((each) => each.end()))
  })
  return { name, url, pool, ...lookingInto(side, name) }
}
