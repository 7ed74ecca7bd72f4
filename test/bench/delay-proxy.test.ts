import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { DelayProxy } from '../../bench/delay/delay-proxy.ts'

const DELAY_MS = 3.5

/** A proxy before a server, and a client of it. */
async function through(
  serve: (socket: Socket) => void,
): Promise<{ client: Socket; server: Server }> {
  const server = createServer({ allowHalfOpen: true }, serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await DelayProxy.listen((server.address() as AddressInfo).port, DELAY_MS)
  const client = connect({ host: '127.0.0.1', port: proxy.port, allowHalfOpen: true })
  client.on('error', () => undefined)
  onTestFinished(async () => {
    client.destroy()
    await proxy.close()
    server.close()
  })
  await once(client, 'connect')
  return { client, server }
}

async function everythingFrom(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

test('every byte comes back in order, and the end behind the last one', async () => {
  const { client } = await through((socket) => socket.pipe(socket))
  const sent: Buffer[] = []
  for (let index = 0; index < 300; index += 1) {
    const chunk = Buffer.alloc(1 + ((index * 7_919) % 5_000), index % 256)
    sent.push(chunk)
    client.write(chunk)
    // Some together, some apart.
    if (index % 5 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  client.end()
  const back = await everythingFrom(client)
  expect(back.equals(Buffer.concat(sent))).toBe(true)
})

test('nothing arrives before its time, in either direction', async () => {
  const { client } = await through((socket) => socket.pipe(socket))
  for (let round = 0; round < 20; round += 1) {
    const begun = performance.now()
    client.write('ping')
    await once(client, 'data')
    expect(performance.now() - begun).toBeGreaterThanOrEqual(2 * DELAY_MS)
  }
})

test('a client that vanished is seen vanishing', async () => {
  const gone = Promise.withResolvers<string>()
  const { client } = await through((socket) => {
    socket.on('error', () => undefined)
    socket.on('close', () => {
      gone.resolve('closed')
    })
    socket.resume()
    socket.on('end', () => socket.end())
  })
  client.resetAndDestroy()
  expect(await gone.promise).toBe('closed')
})
