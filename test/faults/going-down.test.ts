/**
 * A server that goes down says so at the worst moments: in the packet in which a connection becomes
 * ready, and instead of the readiness that follows an error.
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { rejection } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'

const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
const GOES_DOWN = errorResponse('SFATAL', 'VFATAL', 'C57P01', 'Mterminating connection')

function errorResponse(...fields: readonly string[]): Buffer {
  const body = Buffer.from(`${fields.join('\0')}\0\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

/** What the client gets instead of `bytes`; undefined to pass them on. */
type Instead = (bytes: Buffer, client: Socket) => Buffer | undefined

/** Assent and a pool behind a proxy that may change what the server says. */
async function behind(instead: Instead) {
  const orders = await freshDatabase('first')
  const port = Number(new URL(orders.url).port)
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    for (const each of [client, upstream]) each.on('error', () => undefined)
    client.on('data', (bytes) => upstream.write(bytes))
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.end())
    upstream.on('data', (bytes) => {
      const changed = instead(bytes, client)
      if (changed === undefined) client.write(bytes)
      else client.end(changed)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(orders.url)
  url.port = String((server.address() as AddressInfo).port)
  const pool = new pg.Pool({ connectionString: url.href })
  pool.on('error', () => undefined)
  const recovery = { connectionString: orders.url }
  const assent = createAssent({
    app: 'shop',
    participants: { orders: participant(pool, { recovery }) },
  })
  onTestFinished(async () => {
    await assent.close()
    await pool.end()
    server.close()
  })
  return { assent, orders }
}

test('in the packet in which a connection becomes ready: another one is taken', async () => {
  let isDue = true
  const { assent, orders } = await behind((bytes) => {
    if (!isDue || !bytes.subarray(-READY.length).equals(READY)) return undefined
    isDue = false
    return Buffer.concat([bytes, GOES_DOWN])
  })
  await assent.transaction((db) => db.orders.query('insert into t values (1)'))
  expect(isDue).toBe(false)
  expect(await orders.count()).toBe(1)
})

test('instead of the readiness behind an error: the error is told, and nobody waits', async () => {
  let isDue = false
  const { assent, orders } = await behind((bytes) => {
    const at = isDue ? bytes.indexOf('SERROR') - 5 : -1
    if (at < 0) return undefined
    isDue = false
    const error = bytes.subarray(0, at + 1 + bytes.readInt32BE(at + 1))
    return Buffer.concat([error, GOES_DOWN])
  })
  // Longer than a test may take.
  const work = assent.transaction(
    async (db) => {
      await db.orders.query('insert into t values (1)')
      isDue = true
      await db.orders.query('select 1/0')
    },
    { timeoutMs: 600_000 },
  )
  expect(await rejection(work)).toMatchObject({ code: '22012' })
  expect(await orders.count()).toBe(0)
})
