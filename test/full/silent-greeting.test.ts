/**
 * A pooler that takes a login and then has no session to give: whoever asks through it is told so in
 * time, and not when the pooler gives up.
 */
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { pg as participant } from 'assent/pg'
import { openParticipants } from '../../src/transaction/open-participants.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { freshDatabase } from '../support/databases.ts'

/** AuthenticationOk, BackendKeyData, ReadyForQuery. */
const WELCOME = Buffer.from(
  '520000000800000000' + '4b0000000c0000000100000002' + '5a0000000549',
  'hex',
)

test('the first message is bounded like the login', { timeout: 30_000 }, async () => {
  const sockets = new Set<Socket>()
  const pooler = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(WELCOME))
  })
  await new Promise<void>((resolve) => pooler.listen(0, '127.0.0.1', resolve))
  const { port } = pooler.address() as AddressInfo
  const { pool } = await freshDatabase('first')
  const recovery = { connectionString: `postgres://a@127.0.0.1:${port}/b` }
  const participants = openParticipants(
    { app: 'shop', participants: { orders: participant(pool, { recovery }) } },
    nodeWorld,
    () => undefined,
  )
  const orders = participants.get('orders')!
  onTestFinished(async () => {
    await orders.close()
    for (const socket of sockets) socket.destroy()
    pooler.close()
  })
  await expect(orders.listPrepared()).rejects.toMatchObject({ code: 'ASSENT_UNREACHABLE' })
  expect(sockets.size).toBeGreaterThan(0)
})
