/**
 * Which locks of a branch MariaDB keeps while it is in doubt: surely those of rows that it changed. What it
 * only read may be free (fault 88), as docs/systems/mysql-and-mariadb.md says.
 */
import { expect, test } from 'vitest'
import mysql from 'mysql2/promise'
import type { MariadbServer } from '../../harness/mariadb-server.ts'
import { ownMariadb } from '../support/mariadb-databases.ts'

const LEVELS = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const
const ROWS = ['changed', 'read for update', 'read in share mode'] as const

test('a branch in doubt keeps the locks of what it changed, not all of those of what it read (fault 88)', async () => {
  const server = await ownMariadb('locks')
  await server.createDatabase('shop')
  await using before = await connected(server)
  await before.query('CREATE TABLE item (name varchar(40) PRIMARY KEY, n int) ENGINE = InnoDB')
  const branches = await Promise.all(LEVELS.map((level) => branchUnder(server, level)))
  expect(await lockedRows(before)).toEqual([ROWS, ROWS, ROWS])

  for (const branch of branches) await branch.query(`XA PREPARE '${String(branch.threadId)}'`)
  const changeable = ROWS.slice(0, 2)
  expect(await lockedRows(before)).toEqual([changeable, changeable, ROWS])

  await server.kill()
  await server.start()
  await using after = await connected(server)
  expect(await lockedRows(after)).toEqual([['changed'], ['changed'], ['changed']])
})

async function connected(server: MariadbServer): Promise<mysql.Connection> {
  const connection = await mysql.createConnection(server.url('shop'))
  // It dies with its server.
  connection.on('error', () => undefined)
  return connection
}

/** Has changed a row, and read two, and is ready to be prepared. */
async function branchUnder(server: MariadbServer, level: string): Promise<mysql.Connection> {
  const branch = await connected(server)
  const xid = `'${String(branch.threadId)}'`
  const rows = ROWS.map((row) => [`${level}, ${row}`, 1])
  await branch.query('INSERT INTO item VALUES ?', [rows])
  await branch.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`)
  for (const text of [
    `XA START ${xid}`,
    `UPDATE item SET n = 2 WHERE name = '${level}, changed'`,
    `SELECT n FROM item WHERE name = '${level}, read for update' FOR UPDATE`,
    `SELECT n FROM item WHERE name = '${level}, read in share mode' LOCK IN SHARE MODE`,
    `XA END ${xid}`,
  ]) {
    await branch.query(text)
  }
  return branch
}

/** Of each level. */
async function lockedRows(connection: mysql.Connection): Promise<readonly (readonly string[])[]> {
  const free = new Set<string>()
  for (const name of LEVELS.flatMap((level) => ROWS.map((row) => `${level}, ${row}`))) {
    const text = 'SELECT name FROM item WHERE name = ? FOR UPDATE SKIP LOCKED'
    const [rows] = await connection.query<mysql.RowDataPacket[]>(text, [name])
    if (rows.length > 0) free.add(name)
  }
  return LEVELS.map((level) => ROWS.filter((row) => !free.has(`${level}, ${row}`)))
}
