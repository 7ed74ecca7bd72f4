/**
 * Owns: the proof that wire-frames.ts cuts and reads streams as node-postgres and a real server
 * produce them, however they are chunked.
 */
import { connect, createServer, type AddressInfo } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installExitCleanup } from './exit-cleanup.ts'
import { PostgresServer } from './postgres-server.ts'
import { BackendParser, type FrontendItem, FrontendParser, WireError } from './wire-frames.ts'

installExitCleanup()
let server: PostgresServer

beforeAll(async () => {
  server = await PostgresServer.create({ name: 'frames' })
  await server.start()
})

afterAll(async () => {
  await server.remove()
})

test('a message ends at one Sync or one Query, and knows its SQL by statement name', async () => {
  const { sent } = await recorded(async (client) => {
    await client.query('SELECT 1; SELECT 2')
    await client.query('SELECT $1::int', [3])
    await client.query({ name: 'kept', text: 'SELECT $1::text', values: ['a'] })
    await client.query({ name: 'kept', text: 'SELECT $1::text', values: ['b'] })
  })
  const messages = new FrontendParser().push(sent).filter((item) => item.kind === 'message')
  expect(messages.map(({ message }) => [message.kind, message.statements])).toEqual([
    ['simple', [{ sql: 'SELECT 1; SELECT 2', executed: true }]],
    ['extended', [{ sql: 'SELECT $1::int', executed: true }]],
    ['extended', [{ sql: 'SELECT $1::text', executed: true }]],
    ['extended', [{ sql: 'SELECT $1::text', executed: true }]],
  ])
})

test('several statements before one Sync are one message with one answer', async () => {
  const { sent, received } = await recorded(async (client) => {
    await client.query('CREATE TABLE mark (txid int PRIMARY KEY)')
    await client.query('BEGIN')
    await inOneSync(client, ['INSERT INTO mark VALUES (1)', "PREPARE TRANSACTION 'both'"])
    await client.query("ROLLBACK PREPARED 'both'")
  })
  const messages = new FrontendParser().push(sent).filter((item) => item.kind === 'message')
  expect(messages[2]?.message.statements.map((each) => each.sql)).toEqual([
    'INSERT INTO mark VALUES (1)',
    "PREPARE TRANSACTION 'both'",
  ])
  const answers = answersIn(received, messages.length)
  expect(answers[2]).toMatchObject({
    commandTags: ['INSERT 0 1', 'PREPARE TRANSACTION'],
    errors: [],
    status: 'I',
  })
})

test('an answer has its command tags, errors, warnings and status', async () => {
  const { received } = await recorded(async (client) => {
    await client.query('BEGIN')
    await client.query('BEGIN')
    await client.query('SELECT 1/0').catch(() => undefined)
    await client.query('COMMIT')
  })
  expect(answersIn(received, 4)).toMatchObject([
    { commandTags: ['BEGIN'], status: 'T' },
    { commandTags: ['BEGIN'], notices: [{ severity: 'WARNING', sqlState: '25001' }], status: 'T' },
    { commandTags: [], errors: [{ severity: 'ERROR', sqlState: '22012' }], status: 'E' },
    { commandTags: ['ROLLBACK'], errors: [], status: 'I' },
  ])
})

test('whatever the chunks, every byte comes out once and in order', async () => {
  const { sent, received } = await recorded(async (client) => {
    await client.query('SELECT $1::text, repeat($2, 3000)', ['a', 'ß'])
    await client.query('SELECT 1/0').catch(() => undefined)
    // node-postgres rejects at the ErrorResponse, so end() could come before the ReadyForQuery.
    await client.query('SELECT 1')
  })
  for (const size of [1, 2, 3, 7, 64, 4096]) {
    const frontend = new FrontendParser()
    const backend = new BackendParser()
    const out = chunks(sent, size).flatMap((chunk) => frontend.push(chunk))
    expect(Buffer.concat(out.map((item) => item.bytes)).equals(sent)).toBe(true)
    expect(kinds(out)).toEqual(kinds(new FrontendParser().push(sent)))

    let isStartedUp = false
    const back = chunks(received, size).flatMap((chunk) => {
      const items = backend.push(chunk)
      if (!isStartedUp && items.some((item) => item.kind === 'outside' && item.tag === 'Z')) {
        isStartedUp = true
        for (let each = 0; each < 3; each += 1) backend.expectAnswer()
      }
      return items
    })
    if (size > 64) continue // The first answer may have been in the chunk that ended the startup.
    expect(Buffer.concat(back.map((item) => item.bytes)).equals(received)).toBe(true)
    expect(back.filter((item) => item.kind === 'answer')).toHaveLength(3)
  }
})

test('Flush lets a part of a message go early, and its rest is marked as continued', () => {
  const parser = new FrontendParser()
  const items = parser.push(
    Buffer.concat([
      startup({ user: 'u', application_name: 'app' }),
      frame('P', 'cursor\0SELECT 1\0\0\0'),
      frame('B', '\0cursor\0\0\0\0\0\0\0'),
      frame('E', '\0\0\0\0\x01'),
      frame('H'),
      frame('S'),
    ]),
  )
  expect(items).toMatchObject([
    { kind: 'startup', parameters: { user: 'u', application_name: 'app' } },
    { kind: 'early', message: { continued: false, statements: [{ sql: 'SELECT 1' }] } },
    { kind: 'message', message: { continued: true } },
  ])
  const backend = new BackendParser()
  backend.expectAnswer({ letGoEarly: true })
  expect(backend.push(frame('1')).map((item) => item.kind)).toEqual(['early'])
  expect(backend.push(frame('Z', 'I')).map((item) => item.kind)).toEqual(['answer'])
})

test('COPY data and the Sync behind its end belong to no message', () => {
  const items = new FrontendParser().push(
    Buffer.concat([
      startup({ user: 'u' }),
      frame('Q', 'COPY t FROM STDIN\0'),
      frame('d', '1\n'),
      frame('c'),
      frame('S'),
      frame('S'),
    ]),
  )
  expect(kinds(items)).toEqual(['startup', 'message', 'outside', 'outside', 'outside', 'message'])
})

test('encryption and cancel requests are recognised; encrypted bytes are refused', () => {
  const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
  const parser = new FrontendParser()
  expect(kinds(parser.push(sslRequest))).toEqual(['encryption-request'])
  expect(() => parser.push(Buffer.from([0x16, 3, 1]))).toThrow(WireError)
  const cancel = Buffer.from([0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 0, 0, 0, 9])
  expect(new FrontendParser().push(cancel)).toMatchObject([{ processId: 7 }])
  const backend = new BackendParser()
  backend.expectNegotiation()
  expect(backend.push(Buffer.from('N'))).toMatchObject([{ kind: 'negotiation', tag: 'N' }])
})

test('what is no PostgreSQL protocol is refused, not misread', () => {
  expect(() => new FrontendParser().push(Buffer.from('GET / HTTP/1.1\r\n'))).toThrow(WireError)
  expect(() => new BackendParser().push(Buffer.from('HTTP/1.1 200 OK'))).toThrow(WireError)
})

/** Both streams of one real session, from connect to end. */
async function recorded(work: (client: pg.Client) => Promise<void>) {
  const sent: Buffer[] = []
  const received: Buffer[] = []
  const tap = createServer((inner) => {
    const outer = connect({ host: '127.0.0.1', port: server.port })
    inner.on('data', (chunk) => sent.push(chunk)).pipe(outer)
    outer.on('data', (chunk) => received.push(chunk)).pipe(inner)
  })
  await new Promise<void>((resolve) => tap.listen(0, '127.0.0.1', resolve))
  const url = new URL(server.url())
  url.port = String((tap.address() as AddressInfo).port)
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await work(client)
  await client.end()
  await new Promise((resolve) => tap.close(resolve))
  return { sent: Buffer.concat(sent), received: Buffer.concat(received) }
}

/** Pushes frame by frame, because an answer must be expected before its first byte is pushed. */
function answersIn(received: Buffer, count: number) {
  const parser = new BackendParser()
  const answers = []
  for (const byte of chunks(received, 1)) {
    for (const item of parser.push(byte)) {
      if (item.kind === 'answer') answers.push(item.answer)
      if (item.kind !== 'outside' || item.tag !== 'Z') continue
      for (let each = 0; each < count; each += 1) parser.expectAnswer()
    }
  }
  return answers
}

/** As node-postgres does it for one statement, but with several before the Sync. */
async function inOneSync(client: pg.Client, statements: readonly string[]): Promise<void> {
  const submittable = {
    submit(connection: {
      parse(value: object): void
      bind(value: object): void
      execute(value: object): void
      sync(): void
    }) {
      for (const text of statements) {
        connection.parse({ text })
        connection.bind({})
        connection.execute({})
      }
      connection.sync()
    },
    handleCommandComplete: () => undefined,
    handleReadyForQuery: () => undefined,
    handleError: () => undefined,
  }
  const done = new Promise<void>((resolve) => {
    submittable.handleReadyForQuery = () => {
      resolve()
      return undefined
    }
  })
  client.query(submittable as unknown as pg.Submittable)
  await done
}

function kinds(items: readonly Pick<FrontendItem, 'kind'>[]): string[] {
  return items.map((item) => item.kind)
}

function chunks(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.length / size)
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size))
}

function frame(tag: string, body = ''): Buffer {
  const content = Buffer.from(body, 'latin1')
  const head = Buffer.alloc(5)
  head.write(tag, 'latin1')
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

function startup(parameters: Readonly<Record<string, string>>): Buffer {
  const text = Object.entries(parameters).map(([key, value]) => `${key}\0${value}\0`)
  const content = Buffer.from(`${text.join('')}\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(content.length + 8, 0)
  head.writeInt32BE(3 << 16, 4)
  return Buffer.concat([head, content])
}
