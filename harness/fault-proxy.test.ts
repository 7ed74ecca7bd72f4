/**
 * Owns: the proof that each fault of fault-proxy.ts really happens to the bytes, on plain sockets.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import { FaultProxy } from './fault-proxy.ts'

/** A server that says everything back, and remembers what it heard. */
let server: Server
let heard = ''
let served: { socket: Socket; ended: 'no' | 'yes' }[] = []
let proxy: FaultProxy

beforeEach(async () => {
  heard = ''
  served = []
  server = createServer((socket) => {
    const session: (typeof served)[number] = { socket, ended: 'no' }
    served.push(session)
    socket.on('error', () => undefined)
    socket.on('close', () => (session.ended = 'yes'))
    socket.on('data', (bytes) => {
      heard += bytes.toString()
      socket.write(bytes)
    })
  })
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  proxy = await FaultProxy.listen({ targetPort: (server.address() as AddressInfo).port })
})

afterEach(async () => {
  await proxy.close()
  for (const { socket } of served) socket.destroy()
  server.close()
})

test('without a fault everything passes both ways, and so do the ends', async () => {
  const client = await open()
  client.say('one')
  await client.hears('one')
  client.socket.end()
  await eventually('the end', () => served[0]?.ended === 'yes' && client.ended === 'yes')
  await eventually('it to be forgotten', () => proxy.connectionCount === 0)
})

test('a delay holds one direction only, keeps the order, and delays the end too', async () => {
  const client = await open()
  proxy.inflict('to-server', { kind: 'delay', delayMs: 300 })
  const saidAt = performance.now()
  client.say('one')
  await eventually('it to be under way', () => proxy.waitingBytes('to-server') === 3)
  served[0]?.socket.write('unasked')
  await client.hears('unasked')
  expect(heard).toBe('')
  proxy.heal()
  client.say(' two')
  client.socket.end()
  await client.hears('unaskedone two')
  expect(performance.now() - saidAt).toBeGreaterThan(290)
})

test.each(['to-server', 'to-client'] as const)(
  'a black hole swallows bytes and the end %s, until it is healed',
  async (direction) => {
    const client = await open()
    proxy.inflict(direction, { kind: 'black-hole' })
    client.say('one')
    await eventually('it to be swallowed', () => proxy.waitingBytes(direction) === 3)
    expect([heard, client.heard]).toEqual(direction === 'to-server' ? ['', ''] : ['one', ''])
    if (direction === 'to-server') client.socket.end()
    else served[0]?.socket.end()
    await settle()
    expect([served[0]?.ended, client.ended]).toEqual(['no', 'no'])
    proxy.heal()
    await eventually('the bytes', () => heard === 'one')
    await eventually('the end', () => served[0]?.ended === 'yes')
  },
)

test('loss makes segments late, never out of order and never missing', async () => {
  const client = await open()
  const dice = [0.1, 0.9, 0.9, 0.1, 0.1, 0.9]
  proxy.inflict('to-server', { kind: 'loss', share: 0.3, random: () => dice.shift() ?? 0.9 })
  client.say('a')
  await eventually('the first loss', () => proxy.counts.lostSegments === 1)
  client.say('b')
  await eventually('b to wait behind a', () => proxy.waitingBytes('to-server') === 2)
  expect(heard).toBe('')
  await client.hears('ab')
  client.say('c')
  await client.hears('abc')
  // c was lost twice: 200 ms and 400 ms.
  expect(proxy.counts.lostSegments).toBe(3)
})

test('a truncation delivers exactly so many bytes and then the end', async () => {
  const client = await open()
  proxy.inflict('to-client', { kind: 'truncation', afterBytes: 4 })
  client.say('one')
  await client.hears('one')
  client.say('two')
  await eventually('the end', () => client.ended === 'yes')
  expect([heard, client.heard]).toEqual(['onetwo', 'onet'])
  await eventually('the server to be told', () => served[0]?.ended === 'yes')
  expect(proxy.counts.truncatedConnections).toBe(1)
})

test('a client that is lost without a word leaves its server waiting', async () => {
  const client = await open()
  proxy.loseSide('client')
  await eventually('the client to be gone', () => client.ended === 'yes')
  await settle()
  expect(served[0]?.ended).toBe('no')
  served[0]?.socket.write('are you there?')
  await settle()
  expect([client.heard, served[0]?.ended]).toEqual(['', 'no'])
})

test('a server that is lost without a word leaves its client waiting', async () => {
  const client = await open()
  proxy.loseSide('server')
  await eventually('the server to be gone', () => served[0]?.ended === 'yes')
  client.say('are you there?')
  await settle()
  expect([heard, client.ended]).toEqual(['', 'no'])
})

test('flapping cuts what is open and refuses what comes, again and again; then all is well', async () => {
  const flapping = proxy.flap(20)
  let cut = 0
  await eventually('some cuts and refusals', async () => {
    const client = await open().catch(() => undefined)
    if (client === undefined) return false
    await eventually('its end', () => client.ended === 'yes')
    cut += 1
    // Several ends can fall into one flap: those are waited for too.
    return cut >= 5 && proxy.counts.refusedConnections >= 2 && proxy.counts.flaps > 5
  })
  flapping[Symbol.dispose]()
  expect(proxy.counts.flaps).toBeGreaterThan(5)
  const client = await open()
  client.say('well')
  await client.hears('well')
})

test('a new target is for new connections', async () => {
  const other = createServer((socket) => socket.end('other'))
  other.listen({ host: '127.0.0.1', port: 0 })
  await once(other, 'listening')
  const before = await open()
  proxy.targetPort = (other.address() as AddressInfo).port
  before.say('one')
  await before.hears('one')
  await (await open()).hears('other')
  other.close()
})

interface Client {
  readonly socket: Socket
  heard: string
  ended: 'no' | 'yes'
  say(text: string): void
  hears(text: string): Promise<unknown>
}

async function open(): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port: proxy.port, noDelay: true })
  const client: Client = {
    socket,
    heard: '',
    ended: 'no',
    say: (text) => socket.write(text),
    hears: (text) => eventually(`"${text}"`, () => client.heard === text),
  }
  socket.on('error', () => undefined)
  socket.on('data', (bytes) => (client.heard += bytes.toString()))
  socket.on('close', () => (client.ended = 'yes'))
  await once(socket, 'connect')
  return client
}

/** Lets everything arrive that is on its way: an exchange on another connection, there and back. */
async function settle(): Promise<void> {
  const echo = createServer((socket) => socket.pipe(socket))
  echo.listen({ host: '127.0.0.1', port: 0 })
  await once(echo, 'listening')
  const socket = connect({ host: '127.0.0.1', port: (echo.address() as AddressInfo).port })
  for (let round = 0; round < 3; round += 1) {
    socket.write('x')
    await once(socket, 'data')
  }
  socket.destroy()
  echo.close()
}
