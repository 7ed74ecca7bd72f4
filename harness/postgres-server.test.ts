/**
 * Owns: the proof, on a real server, of what postgres-server.ts promises.
 * Never: sleeps; every wait is for a condition and has a deadline.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installExitCleanup } from './exit-cleanup.ts'
import { rewriteFirstLine } from './fixture-process.ts'
import { portAnswers } from './loopback-port.ts'
import { PostgresServer } from './postgres-server.ts'
import { isGone } from './process-table.ts'
import { runAs } from './run-as.ts'

installExitCleanup()
let server: PostgresServer

beforeAll(async () => {
  server = await PostgresServer.create({ name: 'control' })
  await server.start()
})

afterAll(async () => {
  await server.remove()
})

test('a prepared branch survives kill -9, and port and password stay the same', async () => {
  await server.createDatabase('sh"op')
  const url = server.url('sh"op')
  const before = await connected(url)
  await before.query('CREATE TABLE account (id int PRIMARY KEY, cents int)')
  await before.query('BEGIN')
  await before.query('INSERT INTO account VALUES (1, 100)')
  await before.query("PREPARE TRANSACTION 'branch-1'")

  await server.kill()
  expect(server.isRunning).toBe(false)
  expect(await portAnswers(server.port)).toBe(false)
  await server.start()
  expect(server.url('sh"op')).toBe(url)

  const after = await connected(url)
  expect((await after.query('SELECT gid FROM pg_prepared_xacts')).rows).toEqual([
    { gid: 'branch-1' },
  ])
  expect((await after.query('SELECT * FROM account')).rows).toEqual([])
  await after.query("COMMIT PREPARED 'branch-1'")
  expect((await after.query('SELECT * FROM account')).rows).toEqual([{ id: 1, cents: 100 }])
  await after.end()
})

test('kill leaves no process of the server, not even a backend at work', async () => {
  const busy = await connected(server.url())
  const { rows } = await busy.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const backend = rows[0]!.pid
  const postmaster = server.pid
  const cut = expect(busy.query('SELECT pg_sleep(600)')).rejects.toThrow()
  await server.kill()
  expect([isGone(backend), isGone(postmaster)]).toEqual([true, true])
  await cut
  await server.start()
})

test('a kill is a crash: the log tells of recovery after it, and not after a stop', async () => {
  const sinceLastStart = () =>
    readFileSync(`${server.folder}/server.log`, 'utf8').split('starting PostgreSQL').at(-1)
  await server.restart()
  expect(sinceLastStart()).toContain('database system was shut down')
  await server.kill()
  expect(sinceLastStart()).not.toContain('shutdown request') // No time to say goodbye.
  await server.start()
  expect(sinceLastStart()).toContain('database system was interrupted')
})

test('settings: durable as in production by default, and overridable', async () => {
  const client = await connected(server.url())
  expect((await client.query('SHOW fsync')).rows).toEqual([{ fsync: 'on' }])
  await client.end()

  const settings = { max_prepared_transactions: '0' }
  await using other = await PostgresServer.create({ name: 'noprepare', settings })
  await other.start()
  const refused = await connected(other.url())
  await refused.query('BEGIN')
  await expect(refused.query("PREPARE TRANSACTION 'x'")).rejects.toMatchObject({ code: '55000' })
  await refused.end()
})

test('a server that cannot start says why, from its own log, and leaves nothing', async () => {
  const settings = { shared_buffers: 'plenty' }
  const broken = await PostgresServer.create({ name: 'broken', settings })
  await expect(broken.start()).rejects.toThrow(/invalid value for parameter "shared_buffers"/)
  await broken.remove()
  expect(existsSync(broken.folder)).toBe(false)
})

test('a stale postmaster.pid whose process id was reused does not prevent a restart', async () => {
  await server.kill()
  const stranger = spawn('/bin/sleep', ['600'], runAs())
  rewriteFirstLine(`${server.folder}/data/postmaster.pid`, String(stranger.pid))
  await server.start()
  stranger.kill()
})

test('remove after kill deletes the folder and the shared memory segment', async () => {
  const doomed = await PostgresServer.create({ name: 'doomed' })
  await doomed.start()
  const { pid } = doomed
  await doomed.kill()
  await doomed.remove()
  await doomed.remove()
  expect(existsSync(doomed.folder)).toBe(false)
  const table = '/proc/sysvipc/shm'
  if (!existsSync(table)) return
  const creators = readFileSync(table, 'utf8')
    .split('\n')
    .map((row) => row.trim().split(/\s+/)[4])
  expect(creators).not.toContain(String(pid))
})

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => undefined) // The server is killed under it on purpose.
  await client.connect()
  return client
}
