/**
 * Over TLS everything is as without it; and an answer that breaks off in the middle, of a message or
 * of a TLS record, is no answer.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { CuttingProxy } from '../../harness/cutting-proxy.ts'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { giveCertificate, selfSignedCertificate } from '../../harness/self-signed-certificate.ts'
import { refusal, rejection } from '../support/assent.ts'
import { leaveBehind } from '../support/leftover.ts'

const { certificate, key } = selfSignedCertificate()
let servers: readonly [PostgresServer, PostgresServer]
let serial = 0

beforeAll(async () => {
  const start = async (name: string): Promise<PostgresServer> => {
    const server = await PostgresServer.create({ name, settings: { ssl: 'on' } })
    giveCertificate(server, { certificate, key })
    await server.start()
    return server
  }
  servers = await Promise.all([start('tls-orders'), start('tls-stock')])
})

afterAll(async () => {
  await Promise.all(servers.map((server) => server.remove()))
})

type Link = 'plain' | 'TLS'

interface Linked {
  readonly proxy: CuttingProxy
  /** Through the proxy. */
  readonly pool: pg.Pool
  /** Plain SQL, beside everything. */
  readonly sql: (text: string) => Promise<readonly Record<string, unknown>[]>
  readonly direct: pg.PoolConfig
}

async function linked(server: PostgresServer, link: Link, ca = certificate): Promise<Linked> {
  serial += 1
  const name = `tls_${serial}`
  await server.createDatabase(name)
  const ssl = link === 'TLS' ? { ca } : false
  const proxy = await CuttingProxy.listen(server.port)
  const direct = { connectionString: server.url(name), ssl }
  const pool = new pg.Pool({ connectionString: proxy.url(server.url(name)), ssl })
  const side = new pg.Pool({ connectionString: server.url(name), max: 1 })
  for (const each of [pool, side]) each.on('error', () => undefined)
  await side.query('create table t (x int)')
  onTestFinished(async () => {
    await Promise.all([pool.end(), side.end(), proxy.close()])
  })
  const sql = async (text: string) => (await side.query<Record<string, unknown>>(text)).rows
  return { proxy, pool, sql, direct }
}

async function linkedShop(link: Link, ca?: string) {
  const [orders, stock] = await Promise.all([
    linked(servers[0], link, ca),
    linked(servers[1], link, ca),
  ])
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(orders.pool, { recovery: orders.direct }),
      stock: participant(stock.pool, { recovery: stock.direct }),
    },
    onReport: () => undefined,
  })
  onTestFinished(() => assent.close())
  /** Resolves with the processes that it wrote on, in orders and in stock. */
  const write = ({
    timeoutMs = 30_000,
    before = (): void => undefined,
    claim = 'first',
  } = {}): Promise<readonly number[]> =>
    assent.transaction(
      async (db) => {
        const insert = 'insert into t values (1) returning pg_backend_pid() as pid'
        const written = { orders: -1, stock: -1 }
        for (const name of claim === 'first'
          ? (['stock', 'orders'] as const)
          : (['orders', 'stock'] as const)) {
          const { rows } = await db[name].query<{ pid: number }>(insert)
          written[name] = rows[0]?.pid ?? -1
        }
        before()
        return [written.orders, written.stock]
      },
      { timeoutMs, decider: 'orders' },
    )
  const fate = async (): Promise<unknown> => ({
    orders: (await orders.sql('select * from t')).length,
    stock: (await stock.sql('select * from t')).length,
    prepared: await stock.sql(
      'select gid from pg_prepared_xacts where database = current_database()',
    ),
  })
  return { assent, orders, stock, write, fate }
}

const fateOf = (rows: number) => ({ orders: rows, stock: rows, prepared: [] })

describe('over TLS, with a certificate that the pool was given', () => {
  test('a transaction commits, and every session of it is encrypted', async () => {
    const shop = await linkedShop('TLS')
    await shop.write()
    await shop.assent.recover()
    expect(await shop.fate()).toEqual(fateOf(1))
    for (const { sql } of [shop.orders, shop.stock]) {
      const sessions = await sql(`select application_name as name, ssl from pg_stat_ssl
        join pg_stat_activity using (pid) where datname = current_database()
        and pid <> pg_backend_pid() and backend_type = 'client backend'`)
      expect(sessions.map(({ ssl }) => ssl)).not.toContain(false)
      expect(sessions.map(({ name }) => name)).toContain('assent-scan:shop')
    }
  })

  test.each([
    ['voted', 0],
    ['decided', 1],
  ] as const)('recovery ends what a dead process had %s', async (step, rows) => {
    const shop = await linkedShop('TLS')
    const leftover = await leaveBehind(shop, step)
    leftover.vanish()
    await expect.poll(shop.fate, { timeout: 10_000 }).toEqual(fateOf(rows))
  })

  test('another authority’s certificate is refused, and nothing is begun', async () => {
    const shop = await linkedShop('TLS', selfSignedCertificate().certificate)
    const error = await refusal(shop.write(), 'ASSENT_UNREACHABLE')
    expect(error.message).toMatch(/self-signed certificate/)
    expect(await shop.fate()).toEqual(fateOf(0))
  })
})

/** Where an answer breaks off. */
const PLACES = [
  ['before its first byte', () => 0],
  ['within its first header', () => 3],
  ['in the middle', (bytes: number) => Math.floor(bytes / 2)],
  ['before its last byte', (bytes: number) => bytes - 1],
] as const
/** The nth answer of that database after the user's last statement. */
const ANSWERS = [
  ['claim', 'orders', 1, 'aborted', 'last'],
  ['vote', 'stock', 1, 'aborted', 'first'],
  ['COMMIT', 'orders', 1, 'committed', 'first'],
  ['COMMIT PREPARED', 'stock', 2, 'committed', 'first'],
] as const

describe.each(['plain', 'TLS'] as const)('fault 44, %s: the connection breaks off', (link) => {
  for (const [answer, participant, request, outcome, claim] of ANSWERS) {
    test.each(PLACES)(`in the answer to ${answer}, %s: ${outcome}`, async (_place, keep) => {
      const shop = await linkedShop(link)
      const before = await shop.write()
      const { proxy } = shop[participant]
      const arm = (): void => {
        proxy.cut({ request, keep, then: 'close' })
      }
      const cut = shop.write({ before: arm, claim })
      if (outcome === 'committed') await cut
      else expect(await rejection(cut)).toMatchObject({ outcome })
      expect(proxy.cuts).toBe(1)
      await expect.poll(shop.fate).toEqual(fateOf(outcome === 'committed' ? 2 : 1))
      // The connection is never used again; the next one works.
      const at = participant === 'orders' ? 0 : 1
      expect((await shop.write())[at]).not.toBe(before[at])
    })
  }
})

describe.each(['plain', 'TLS'] as const)('fault 44, %s: half an answer, then silence', (link) => {
  const keep = (bytes: number): number => Math.floor(bytes / 2)

  test('to COMMIT: unknown when time is over, and found out when asked', async () => {
    const shop = await linkedShop(link)
    const before = await shop.write()
    const arm = (): void => {
      shop.orders.proxy.cut({ request: 1, keep, then: 'stall' })
    }
    const write = shop.write({ timeoutMs: 2_000, before: arm })
    const error = await refusal(write, 'ASSENT_TIMEOUT', 'unknown')
    const asked = await shop.assent.outcome(error.transactionId ?? '', { waitMs: 10_000 })
    expect(asked).toEqual({ outcome: 'committed' })
    await expect.poll(shop.fate).toEqual(fateOf(2))
    expect((await shop.write())[0]).not.toBe(before[0])
  })

  test('to the vote: aborted when time is over', async () => {
    const shop = await linkedShop(link)
    await shop.write()
    const arm = (): void => {
      shop.stock.proxy.cut({ request: 1, keep, then: 'stall' })
    }
    const write = shop.write({ timeoutMs: 2_000, before: arm })
    await refusal(write, 'ASSENT_TIMEOUT')
    await expect.poll(shop.fate).toEqual(fateOf(1))
  })
})
