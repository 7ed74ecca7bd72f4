/**
 * The server that must be refused is really like that.
 */
import { onTestFinished, expect, test } from 'vitest'
import mysql from 'mysql2/promise'
import { eventually } from '../../harness/eventually.ts'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import { mysql56Folder } from '../../harness/mysql56.ts'

test('MySQL 5.6 forgets a prepared branch as soon as its connection ends', async () => {
  const server = await MariadbServer.create({ name: 'mysql56', binaries: await mysql56Folder() })
  onTestFinished(() => server.remove())
  await server.start()
  const [voter, witness] = await Promise.all([1, 2].map(() => mysql.createConnection(server.url())))
  const prepared = async () => (await witness!.query<mysql.RowDataPacket[]>('XA RECOVER'))[0].length
  for (const text of ["XA START 'g'", "XA END 'g'", "XA PREPARE 'g'"]) await voter!.query(text)
  expect(await prepared()).toBe(1)
  await voter!.end()
  await eventually('the branch to vanish', async () => (await prepared()) === 0)
  await witness!.end()
}, 600_000)
