/**
 * MariaDB databases of a test's own: reached by both drivers, gone behind it, nobody else's
 * touched.
 */
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import mysql from 'mysql2/promise'
import { freshMariadb, ownMariadb, ownMariadbDatabase } from './mariadb-databases.ts'
import type { MariadbDatabase } from './mariadb-databases.ts'

const servers = ['maria', 'mariaBinlog'] as const
const mark = `${process.pid}-${Date.now().toString(36)}`
const others = { database: `others_${mark.replace('-', '_')}`, gtrid: `others-${mark}` }
let witness: mysql.Connection

beforeAll(async () => {
  witness = await mysql.createConnection(inject('mariadbServers').maria)
  await witness.query(`CREATE DATABASE ${others.database}`)
  await witness.query(`CREATE TABLE ${others.database}.t (x int)`)
  const voter = await mysql.createConnection(inject('mariadbServers').maria)
  await prepare(voter, others.gtrid, `${others.database}.t`)
  await voter.end()
})

afterAll(async () => {
  await witness.query(`XA ROLLBACK '${others.gtrid}', 'b'`)
  await witness.query(`DROP DATABASE ${others.database}`)
  await witness.end()
})

test.each(servers)('both drivers reach a database of the test’s own: %s', async (server) => {
  const database = await freshMariadb(server)
  await database.pool.query('INSERT INTO t VALUES (1)')
  await database.connector().query('INSERT INTO t VALUES (2)')
  expect(await database.count()).toBe(2)
  expect(await database.sql('SELECT x FROM t WHERE x > ?', [1])).toEqual([{ x: 2 }])
})

test('the shared servers are two, and one of them writes a binary log', async () => {
  const text = 'SELECT @@server_uid AS id, @@log_bin AS log, @@sync_binlog AS sync'
  const rows = await Promise.all(
    servers.map(async (each) => (await (await freshMariadb(each)).sql(text))[0]),
  )
  expect(rows).toMatchObject([{ log: 0 }, { log: 1, sync: 1 }])
  expect(rows[0]?.['id']).not.toBe(rows[1]?.['id'])
})

const left = { database: '', gtrid: `left-${mark}` }

test('a test may leave statements running and its branches prepared …', async () => {
  const database = await freshMariadb('maria')
  database.rollBackAtEnd(`left-${mark}`)
  left.database = database.name
  for (const pool of bothPools(database)) {
    pool.query('SELECT sleep(600)').catch(() => undefined)
  }
  await prepare(await database.pool.getConnection(), left.gtrid, 't')
  expect(await database.prepared()).toEqual(
    expect.arrayContaining([
      { gtrid: left.gtrid, bqual: 'b' },
      { gtrid: others.gtrid, bqual: 'b' },
    ]),
  )
})

test('… and they are gone behind it with the database, but nothing of others is', async () => {
  const gtrids = (await rowsOf('XA RECOVER')).map(({ data }) => String(data).slice(0, -1))
  expect(gtrids).toContain(others.gtrid)
  expect(gtrids).not.toContain(left.gtrid)
  const databases = (await rowsOf('SHOW DATABASES')).map((row) => String(row['Database']))
  expect(databases).toContain(others.database)
  expect(databases).not.toContain(left.database)
})

test('a database of an own server survives a kill, and so do its pools', async () => {
  const server = await ownMariadb('own')
  const database = await ownMariadbDatabase(server)
  const pools = bothPools(database)
  for (const pool of pools) await pool.query('INSERT INTO t VALUES (1)')
  await server.kill()
  await expect(database.pool.query('SELECT 1')).rejects.toThrow()
  await server.start()
  for (const pool of pools) await pool.query('INSERT INTO t VALUES (1)')
  expect(await database.count()).toBe(4)
})

test('a test may end while its own server is down', async () => {
  const server = await ownMariadb('down')
  const database = await ownMariadbDatabase(server)
  for (const pool of bothPools(database)) await pool.query('SELECT 1')
  await server.kill()
  expect(server.isRunning).toBe(false)
})

/** What the two drivers have in common. */
interface AnyPool {
  query(text: string): Promise<unknown>
}

function bothPools(database: MariadbDatabase): readonly AnyPool[] {
  return [database.pool, database.connector()]
}

async function prepare(
  connection: Pick<mysql.Connection, 'query'>,
  gtrid: string,
  table: string,
): Promise<void> {
  const xid = `'${gtrid}', 'b'`
  await connection.query(`XA START ${xid}`)
  await connection.query(`INSERT INTO ${table} VALUES (1)`)
  await connection.query(`XA END ${xid}`)
  await connection.query(`XA PREPARE ${xid}`)
}

async function rowsOf(text: string): Promise<readonly mysql.RowDataPacket[]> {
  return (await witness.query<mysql.RowDataPacket[]>(text))[0]
}
