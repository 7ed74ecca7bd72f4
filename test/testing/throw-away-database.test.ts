/**
 * Throw-away databases of `assent/testing`, on each system by each driver.
 */
import { expect, inject, test } from 'vitest'
import * as connector from 'mariadb'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { AssentError, createAssent } from 'assent'
import { mysql2 } from 'assent/mysql2'
import { pg as postgres } from 'assent/pg'
import { crashing, throwAwayDatabase } from 'assent/testing'
import { refusal } from '../support/assent.ts'

const mariaUrl = (): string => inject('mariadbServers').maria
const asMariadb = (url: string): string => url.replace(/^mysql:/, 'mariadb:')

test('goes with what a crashed transaction left prepared in it, on PostgreSQL and MariaDB', async () => {
  const serverUrl = inject('servers').second
  const app = `gone-${process.pid}`
  const orders = await throwAwayDatabase({ url: serverUrl, driver: pg })
  const stock = await throwAwayDatabase({ url: mariaUrl(), driver: mysql, app })
  const pool = new pg.Pool({ connectionString: orders.url })
  const stockPool = mysql.createPool(stock.url)
  await pool.query('create table t (x int)')
  await stockPool.query('create table t (x int) engine = innodb')
  const participants = {
    orders: postgres(pool),
    stock: mysql2(stockPool, { schema: stock.name }),
  }
  const write = async (decider: 'orders' | 'stock'): Promise<void> => {
    const point = { at: 'after vote' } as const
    const assent = createAssent({ app, participants: crashing(participants, point) })
    const transaction = assent.transaction(
      async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query('insert into t values (1)')
      },
      { decider },
    )
    await refusal(transaction, 'ASSENT_CRASHED', 'unknown')
    await assent.close()
  }
  await write('orders')
  await write('stock')
  await Promise.all([pool.end(), stockPool.end()])
  await orders.drop()
  await stock.drop()
  await stock.drop()
  const server = new pg.Client({ connectionString: serverUrl })
  await server.connect()
  const left = await server.query('select from pg_database where datname = $1', [orders.name])
  await server.end()
  expect(left.rowCount).toBe(0)
  const maria = await mysql.createConnection(mariaUrl())
  const [databases] = await maria.query<mysql.RowDataPacket[]>('show databases like ?', [
    stock.name,
  ])
  const [prepared] = await maria.query<mysql.RowDataPacket[]>('xa recover')
  await maria.end()
  expect(databases).toEqual([])
  expect(prepared.filter(({ data }) => String(data).includes(app))).toEqual([])
})

test('is made and dropped by the driver mariadb too', async () => {
  const url = asMariadb(mariaUrl())
  await using database = await throwAwayDatabase({ url, driver: connector })
  const connection = await connector.createConnection(database.url)
  await connection.query('create table t (x int)')
  await connection.end()
  expect(database.url).toContain(`/${database.name}`)
})

test('an address that the driver can’t read is not quoted', async () => {
  const url = 'mysql://me:hush@localhost/x'
  const error = await refusal(throwAwayDatabase({ url, driver: connector }), 'ASSENT_OPTION')
  expect(error.message).toContain('mariadb://… for mariadb')
  expect(JSON.stringify([error.message, error.cause])).not.toContain('hush')
})

test.each([
  ['no-url hush', pg, /a `url` that is no URL.+Expected postgres:/],
  ['mysql://me:hush@localhost/x', pg, /a `driver` without createConnection.+'mysql2\/promise'/],
  ['postgres://me:hush@localhost/x', mysql, /a `driver` without Client.+'pg'/],
])('refuses what does not fit together, without quoting it', async (url, driver, said) => {
  const error = await refusal(throwAwayDatabase({ url, driver }), 'ASSENT_OPTION')
  expect(error).toBeInstanceOf(AssentError)
  expect(error.message).toMatch(said)
  expect(error.message).not.toContain('hush')
})
