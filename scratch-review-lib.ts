import pg from 'pg'
import { PostgresServer, installExitCleanup } from './harness/postgres-server.ts'
import { WireProxy } from './harness/wire-proxy.ts'
import { createAssent } from 'assent'
import { pg as P } from 'assent/pg'
export { pg, PostgresServer, WireProxy, createAssent, P }
export const sleep = (ms: number) => new Promise((r) => setTimeout(r, ms))
export async function two(settings?: any) {
  installExitCleanup()
  const s = await Promise.all(['ra', 'rb'].map((name) => PostgresServer.create({ name, settings })))
  await Promise.all(s.map((x) => x.start()))
  for (const x of s) { const c = new pg.Client(x.url()); await c.connect(); await c.query('create table t(x int)'); await c.end() }
  return s as [PostgresServer, PostgresServer]
}
export async function sql(s: PostgresServer, text: string) { const c = new pg.Client(s.url()); await c.connect(); try { return (await c.query(text)).rows } finally { await c.end() } }
