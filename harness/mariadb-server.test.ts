/**
 * Owns: the proof, on a real server, of what mariadb-server.ts promises.
 * Never: sleeps; every wait is for a condition and has a deadline.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installExitCleanup } from './exit-cleanup.ts'
import { portAnswers } from './loopback-port.ts'
import { MariadbServer } from './mariadb-server.ts'
import { isGone } from './process-table.ts'

installExitCleanup()
let server: MariadbServer

beforeAll(async () => {
  server = await MariadbServer.create({ name: 'control' })
  await server.start()
})

afterAll(async () => {
  await server.remove()
})

test('a prepared branch survives kill -9, and port and password stay the same', async () => {
  await server.createDatabase('sh`op')
  const url = server.url('sh`op')
  const before = await connected(url)
  await before.query('CREATE TABLE account (id int PRIMARY KEY, cents int)')
  await before.query("XA START 'branch-1'")
  await before.query('INSERT INTO account VALUES (1, 100)')
  await before.query("XA END 'branch-1'")
  await before.query("XA PREPARE 'branch-1'")

  await server.kill()
  expect(server.isRunning).toBe(false)
  expect(await portAnswers(server.port)).toBe(false)
  await server.start()
  expect(server.url('sh`op')).toBe(url)

  const after = await connected(url)
  expect(await rows(after, 'XA RECOVER')).toMatchObject([{ data: Buffer.from('branch-1') }])
  expect(await rows(after, 'SELECT * FROM account')).toEqual([])
  await after.query("XA COMMIT 'branch-1'")
  expect(await rows(after, 'SELECT * FROM account')).toEqual([{ id: 1, cents: 100 }])
  await after.end()
})

test('what was committed survives kill -9, and a restart', async () => {
  await server.createDatabase('kept')
  const before = await connected(server.url('kept'))
  await before.query('CREATE TABLE t (x int)')
  await before.query('INSERT INTO t VALUES (1)')
  await server.kill()
  await server.start()
  await server.restart()
  const after = await connected(server.url('kept'))
  expect(await rows(after, 'SELECT x FROM t')).toEqual([{ x: 1 }])
  await after.end()
})

test('kill ends a server that is at work, at once', async () => {
  const busy = await connected(server.url())
  const { pid } = server
  const cut = expect(busy.query('SELECT sleep(600)')).rejects.toThrow()
  await server.kill()
  expect(isGone(pid)).toBe(true)
  await cut
  await server.start()
})

test('a kill is a crash: the log tells of no shutdown, as it does behind a stop', async () => {
  const sinceLastStart = () =>
    readFileSync(join(server.folder, 'server.log'), 'utf8').split('Starting MariaDB').at(-1)
  await server.stop()
  expect(sinceLastStart()).toContain('Shutdown complete')
  await server.start()
  await server.kill()
  expect(sinceLastStart()).not.toContain('shutdown')
  expect(sinceLastStart()).toContain('ready for connections')
  await server.start()
})

test('nobody logs in without the password, and root only through the socket', async () => {
  const port = { host: '127.0.0.1', port: server.port }
  const socket = { socketPath: join(server.folder, 'data', 's') }
  const { user, password } = server
  const refused = { code: 'ER_ACCESS_DENIED_ERROR' }
  await expect(connectedAs({ ...port, user })).rejects.toMatchObject(refused)
  await expect(connectedAs({ ...port, user: 'root', password })).rejects.toMatchObject(refused)
  await expect(connectedAs({ ...port, user: 'nobody' })).rejects.toMatchObject(refused)
  await expect(connectedAs({ ...socket, user: 'root' })).rejects.toMatchObject(refused)
  await (await connectedAs({ ...socket, user: 'root', password })).end()
})

test('settings: durable as in production by default, and overridable', async () => {
  const client = await connected(server.url())
  const text = 'SELECT @@innodb_flush_log_at_trx_commit AS flushed, @@log_bin AS log'
  expect(await rows(client, text)).toEqual([{ flushed: 1, log: 0 }])
  const noSync = "SHOW VARIABLES WHERE variable_name = 'innodb_flush_method' AND value = 'nosync'"
  expect(await rows(client, noSync)).toEqual([])
  await client.end()

  const settings = { log_bin: 'binlog', sync_binlog: '1', server_id: '7', binlog_format: 'ROW' }
  await using other = await MariadbServer.create({ name: 'binlog', settings })
  await other.start()
  const logging = await connected(other.url())
  const setting = 'SELECT @@log_bin AS log, @@sync_binlog AS sync, @@server_id AS id'
  expect(await rows(logging, setting)).toEqual([{ log: 1, sync: 1, id: 7 }])
  await logging.end()
})

test('its process has the environment that it was given, and nothing of ours', async () => {
  process.env['MYSQL_HOME'] = '/nowhere'
  await using other = await MariadbServer.create({ name: 'env', env: { ASSENT_PROBE: 'yes' } })
  await other.start()
  delete process.env['MYSQL_HOME']
  const path = `/proc/${other.pid}/environ`
  if (!existsSync(path)) return
  const variables = readFileSync(path, 'utf8').split('\0')
  expect(variables).toContain('ASSENT_PROBE=yes')
  expect(variables.filter((each) => each.startsWith('MYSQL_HOME'))).toEqual([])
})

test('a server that cannot start says why, from its own log, and leaves nothing', async () => {
  const broken = await MariadbServer.create({ name: 'broken', settings: { no_such_thing: '1' } })
  await expect(broken.start()).rejects.toThrow(/unknown variable 'no_such_thing=1'/)
  await broken.remove()
  expect(existsSync(broken.folder)).toBe(false)
})

test('remove after kill deletes the folder, and a second time does nothing', async () => {
  const doomed = await MariadbServer.create({ name: 'doomed' })
  await doomed.start()
  const { pid } = doomed
  await doomed.kill()
  await doomed.remove()
  await doomed.remove()
  expect([isGone(pid), existsSync(doomed.folder)]).toEqual([true, false])
})

async function connected(uri: string): Promise<mysql.Connection> {
  return connectedAs({ uri })
}

async function connectedAs(options: mysql.ConnectionOptions): Promise<mysql.Connection> {
  const connection = await mysql.createConnection(options)
  connection.on('error', () => undefined) // The server is killed under it on purpose.
  return connection
}

async function rows(connection: mysql.Connection, text: string): Promise<unknown> {
  return (await connection.query(text))[0]
}
