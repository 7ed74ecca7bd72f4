import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { expectNothing, refusal } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'

/** Servers that can't be shared: each is configured as no database should be. */
const servers: PostgresServer[] = []

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.remove()))
})

async function openServer(settings: Record<string, string>): Promise<PostgresServer> {
  const server = await PostgresServer.create({ name: 'special', settings })
  servers.push(server)
  await server.start()
  return server
}

async function overBoth(server: PostgresServer, write = 'insert into t values (1)') {
  const orders = await freshDatabase('first')
  const pool = new pg.Pool({ connectionString: server.url() })
  pool.on('error', () => undefined)
  const assent = createAssent({
    app: 'shop',
    participants: { orders: participant(orders.pool), stock: participant(pool) },
    onReport: () => undefined,
  })
  return {
    assent,
    orders,
    run: () =>
      assent.transaction(async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query(write)
      }),
    close: async () => {
      await assent.close()
      await pool.end()
    },
  }
}

async function makeTable(server: PostgresServer): Promise<void> {
  const client = new pg.Client(server.url())
  await client.connect()
  await client.query('create table t (x int)')
  await client.end()
}

describe('a database is refused before anything is marked', () => {
  test.each(['fsync', 'full_page_writes'])('with %s off (fault 60)', async (setting) => {
    const server = await openServer({ [setting]: 'off' })
    await makeTable(server)
    const { orders, run, close } = await overBoth(server)
    const error = await refusal(run(), 'ASSENT_NOT_DURABLE')
    expect(error.message).toMatch(new RegExp(`stock can't take part.*${setting} is off.*= on`))
    await expectNothing(orders)
    await close()
  })

  test('that is a replica, unless it is only read', async () => {
    const server = await openServer({})
    await makeTable(server)
    await server.stop()
    writeFileSync(path.join(server.folder, 'data', 'standby.signal'), '')
    await server.start()
    const { assent, orders, run, close } = await overBoth(server)
    const error = await refusal(run(), 'ASSENT_REPLICA')
    expect(error.message).toMatch(/stock is a read-only replica.*reads: \['stock'\]/)
    await expectNothing(orders)
    await assent.transaction(
      async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query('select * from t')
      },
      { reads: ['stock'] },
    )
    expect(await orders.count()).toBe(1)
    await close()
  })
})
