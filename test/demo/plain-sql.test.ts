/**
 * What the demo's observer and proof see on MariaDB, which gives neither names to sessions nor an
 * owner to prepared branches.
 */
import mysql from 'mysql2/promise'
import { expect, onTestFinished, test } from 'vitest'
import { connectPlainly } from '../../demo/database.ts'
import type { SeenBranch } from '../../demo/database.ts'
import { freshMariadb } from '../support/mariadb-databases.ts'
import { freshApp } from '../support/pairs.ts'

test('a branch is reached by its worker as long as the connection lives that prepared it', async () => {
  const database = await freshMariadb('maria')
  const { url } = database
  const gtrid = `A1.${freshApp()}.east.epoch.txid`
  database.rollBackAtEnd(gtrid)
  const owner = await mysql.createConnection(url)
  onTestFinished(() => {
    owner.destroy()
  })
  const place = { name: 'west', system: 'mariadb', prepares: true, url } as const
  const sql = await connectPlainly(place, { as: 'test' })
  onTestFinished(() => sql.close())
  const look = async (): Promise<readonly SeenBranch[]> =>
    (await sql.look()).filter(({ gid }) => gid.startsWith(gtrid))

  const [uptime] = await sql.rows(`SELECT unix_timestamp() - VARIABLE_VALUE AS start
FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'`)
  const start = Math.round(Number(uptime?.['start'])).toString(36)
  const xid = `'${gtrid}','west.${owner.threadId.toString(36)}.${start}',16723`
  await owner.query(`XA START ${xid}`)
  await owner.query('INSERT INTO t VALUES (1)')
  // Locks that nobody knows of would be left over as well.
  expect((await sql.leftPrepared()).join('\n')).toContain('is RUNNING')
  await owner.query(`XA END ${xid}`)
  await owner.query(`XA PREPARE ${xid}`)

  const branch = { gid: `${gtrid}.west`, txid: 'txid' }
  expect(await look()).toMatchObject([branch])
  expect((await look())[0]?.isReachedBy('worker-1')).toBe(true)
  expect(await sql.otherSessions()).toContainEqual(expect.stringContaining('assent_test (Sleep)'))
  owner.destroy()
  await expect.poll(async () => (await look())[0]?.isReachedBy('worker-1')).toBe(false)
  expect(await sql.leftPrepared()).toContain(`${gtrid}.west is still prepared`)
  expect(await database.sql('SELECT * FROM t')).toEqual([])
})
