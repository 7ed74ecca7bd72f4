/**
 * The name of a database leads to another server than before (fault 43): a replica, or the old
 * primary after another server was promoted.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import type { Report } from 'assent'
import { pg as participant } from 'assent/pg'
import { FaultProxy } from '../../harness/fault-proxy.ts'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { refusal } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import { copyServer, startAsReplica } from '../support/server-copy.ts'

let old: PostgresServer
let promoted: PostgresServer

beforeAll(async () => {
  old = await PostgresServer.create({ name: 'old' })
  await old.start()
  const client = new pg.Client(old.url())
  await client.connect()
  await client.query('create table t (x int)')
  await client.end()
})

afterAll(async () => {
  await Promise.all([old, promoted].map((server) => server.remove()))
})

/** `orders` behind a name that can be made to lead elsewhere; `stock` where it always was. */
async function shopBehindName(first: PostgresServer) {
  const name = await FaultProxy.listen({ targetPort: first.port })
  const stock = await freshDatabase('second')
  const pool = new pg.Pool({ connectionString: name.url(first.url()) })
  pool.on('error', () => undefined)
  const reports: Report[] = []
  const assent = createAssent({
    app: 'shop',
    participants: { orders: participant(pool), stock: participant(stock.pool) },
    onReport: (report) => reports.push(report),
  })
  onTestFinished(async () => {
    await assent.close()
    await pool.end()
    await name.close()
  })
  return {
    ...{ assent, stock, reports },
    write: (): Promise<void> =>
      assent.transaction(
        async ({ orders, stock }) => {
          await orders.query('insert into t values (1)')
          await stock.query('insert into t values (1)')
        },
        { decider: 'orders' },
      ),
    leadTo: (server: PostgresServer): void => {
      name.targetPort = server.port
      name.dropAll()
    },
    /** Left behind by a process that has always known the right way. */
    leaveAt: async (server: PostgresServer, step: 'voted' | 'decided') => {
      const direct = new pg.Pool({ connectionString: server.url() })
      onTestFinished(() => direct.end())
      const orders = { pool: direct }
      return leaveBehind({ orders, stock }, step)
    },
  }
}

test('a replica is refused as a writer, and answers for nobody (fault 43)', async () => {
  promoted = await copyServer(old, 'promoted')
  await Promise.all([old.start(), startAsReplica(promoted)])
  const shop = await shopBehindName(old)
  await shop.write()
  shop.leadTo(promoted)
  await refusal(shop.write(), 'ASSENT_REPLICA')
  expect(await shop.stock.count()).toBe(1)
  const leftover = await shop.leaveAt(old, 'decided')
  leftover.vanish()
  await expect
    .poll(() => shop.assent.recover())
    .toMatchObject([{ participant: 'stock', reason: 'register-unclear' }])
  expect(await shop.stock.prepared()).toHaveLength(1)
  shop.leadTo(old)
  await expect.poll(() => shop.stock.prepared()).toEqual([])
  expect(await shop.stock.count()).toBe(2)
})

test('an old primary that came back decides nothing of its successor’s (fault 43)', async () => {
  const admin = new pg.Client(promoted.url())
  await admin.connect()
  await admin.query('select pg_promote()')
  await admin.end()
  const shop = await shopBehindName(promoted)
  await shop.write()
  const [voted, decided] = [
    await shop.leaveAt(promoted, 'voted'),
    await shop.leaveAt(promoted, 'decided'),
  ]
  shop.leadTo(old)
  for (const leftover of [voted, decided]) leftover.vanish()
  // The epoch that this process names is of the successor's time.
  const refused = await refusal(shop.write(), 'ASSENT_STALE_EPOCH')
  expect(refused.retryable).toBe(true)
  const held = { participant: 'stock', reason: 'held', register: 'orders' }
  await expect.poll(() => shop.assent.recover(), { timeout: 10_000 }).toMatchObject([held, held])
  expect([await shop.stock.count(), (await shop.stock.prepared()).length]).toEqual([1, 2])
  shop.leadTo(promoted)
  await expect.poll(() => shop.stock.prepared(), { timeout: 20_000 }).toEqual([])
  expect(await shop.stock.count()).toBe(2)
  expect(await shop.assent.outcome(voted.id)).toEqual({ outcome: 'aborted' })
  expect(await shop.assent.outcome(decided.id)).toEqual({ outcome: 'committed' })
})
