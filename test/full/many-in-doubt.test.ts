/**
 * Thousands in doubt at once, as after the loss of many processes: all are ended, half of them each
 * way, with memory that does not grow with their number.
 */
import { expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { PostgresServer } from '../../harness/postgres-server.ts'

const MANY = 5_000
const HEAP_LIMIT_BYTES = 100_000_000

test('5,000 branches in doubt are ended as their register says, with bounded memory', async () => {
  const [orders, stock] = await Promise.all([
    server('orders', { max_prepared_transactions: '10' }),
    server('stock', { max_prepared_transactions: String(MANY + 50), shared_buffers: '64MB' }),
  ])
  const open = () =>
    createAssent({
      app: 'many',
      participants: { orders: participant(orders), stock: participant(stock) },
      onReport: () => undefined,
    })
  {
    await using first = open()
    await first.transaction(async (db) => {
      await db.orders.query('create table t (x int primary key)')
      await db.stock.query('create table t (x int primary key)')
    })
  }
  const epoch = (await rows(orders, 'select id from assent.epoch'))[0]?.['id']
  await leaveInDoubt(orders, stock, String(epoch))
  expect(await count(stock, 'select count(*) as n from pg_prepared_xacts')).toBe(MANY)

  const assent = open()
  onTestFinished(() => assent.close())
  const heapBefore = process.memoryUsage().heapUsed
  let heapMost = 0
  const watch = setInterval(() => {
    heapMost = Math.max(heapMost, process.memoryUsage().heapUsed - heapBefore)
  }, 20)
  await expect.poll(() => assent.recover(), { timeout: 120_000 }).toEqual([])
  clearInterval(watch)

  expect(await count(stock, 'select count(*) as n from pg_prepared_xacts')).toBe(0)
  // The odd ones had their decision; of the even ones the register has no row.
  expect(await count(stock, 'select count(*) as n from t')).toBe(MANY / 2)
  expect(await count(stock, 'select count(*) as n from t where x % 2 = 0')).toBe(0)
  expect(heapMost).toBeLessThan(HEAP_LIMIT_BYTES)
  console.log(`most heap while recovering: ${(heapMost / 1e6).toFixed(0)} MB`)
}, 180_000)

async function server(name: string, settings: Record<string, string>): Promise<pg.Pool> {
  const created = await PostgresServer.create({ name, settings })
  await created.start()
  const pool = new pg.Pool({ connectionString: created.url() })
  pool.on('error', () => undefined)
  onTestFinished(async () => {
    await pool.end()
    await created.remove()
  })
  return pool
}

/** As if so many processes had died after their votes; every second one after its decision. */
async function leaveInDoubt(orders: pg.Pool, stock: pg.Pool, epoch: string): Promise<void> {
  const txids = Array.from({ length: MANY }, (_, at) => String(at).padStart(20, 'x'))
  const mark = (txid: string): string =>
    `insert into assent.mark (txid, decision, app, register, epoch, participants)
     values ('${txid}', 'commit', 'many', 'orders', '${epoch}', '{orders,stock}')`
  const client = await stock.connect()
  for (const [at, txid] of txids.entries()) {
    const gid = `A1.many.orders.${epoch}.${txid}.stock`
    await client.query(
      `begin; insert into t values (${at}); ${mark(txid)}; prepare transaction '${gid}'`,
    )
  }
  client.release()
  const decided = txids.filter((_, at) => at % 2 === 1)
  await orders.query(decided.map(mark).join(';'))
}

async function rows(pool: pg.Pool, text: string): Promise<readonly Record<string, unknown>[]> {
  return (await pool.query<Record<string, unknown>>(text)).rows
}

async function count(pool: pg.Pool, text: string): Promise<number> {
  return Number((await rows(pool, text))[0]?.['n'])
}
