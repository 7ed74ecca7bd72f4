/**
 * Owns: the proof that mysql-frames.ts cuts and reads streams as mysql2 and a real MariaDB produce them,
 * however they are chunked; and that the proxy and the killable stream keep their promises with it.
 */
import mysql from 'mysql2/promise'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import { installExitCleanup } from './exit-cleanup.ts'
import { killableMysqlStream } from './killable-stream.ts'
import { MariadbServer } from './mariadb-server.ts'
import { MYSQL_WIRE, MysqlBackend, MysqlFrontend } from './mysql-frames.ts'
import { type BackendAnswer, WireError } from './wire.ts'
import { type ProxyHooks, WireProxy } from './wire-proxy.ts'

installExitCleanup()
let server: MariadbServer
let observer: mysql.Pool

beforeAll(async () => {
  server = await MariadbServer.create({ name: 'frames' })
  await server.start()
  await server.createDatabase('shop')
  observer = mysql.createPool(server.url('shop'))
  await observer.query('CREATE TABLE account (id int PRIMARY KEY, note text) ENGINE = InnoDB')
})

afterAll(async () => {
  await observer.end()
  await server.remove()
})

/** What passes a proxy while a client works: `request …`, `answer …`, in order. */
async function through(
  work: (client: mysql.Connection) => Promise<void>,
  hooks: ProxyHooks = {},
  options: mysql.ConnectionOptions = {},
): Promise<{ readonly passed: readonly string[]; readonly sent: readonly Buffer[] }> {
  const passed: string[] = []
  const sent: Buffer[] = []
  await using proxy = await WireProxy.listen({
    targetPort: server.port,
    wire: MYSQL_WIRE,
    name: ({ statements }) => statements[0]?.sql.slice(0, 30) ?? 'nothing',
    onRequest: ({ name, message }) => {
      passed.push(`request ${name}`)
      sent.push(message.bytes)
      return 'pass'
    },
    onAnswer: (_named, answer) => {
      passed.push(textOf(answer))
      return 'pass'
    },
    ...hooks,
  })
  const client = await mysql.createConnection({ uri: proxy.url(server.url('shop')), ...options })
  client.on('error', () => undefined)
  try {
    await work(client)
  } finally {
    client.destroy()
  }
  return { passed, sent }
}

function textOf({ commandTags, errors, notices, status }: BackendAnswer): string {
  const reports = [...errors, ...notices].map(({ sqlState }) => ` !${sqlState}`)
  return `answer ${commandTags.join(', ')} (${status})${reports.join('')}`
}

test('each command has one answer, which tells rows, errors, warnings and an open transaction', async () => {
  const { passed } = await through(
    async (client) => {
      await client.query('SELECT 1 UNION SELECT 2')
      await client.query("XA START 'a'")
      await client.query("INSERT INTO account VALUES (1, 'x')")
      await expect(client.query('SELECT nothing')).rejects.toMatchObject({ errno: 1054 })
      await client.query("SELECT 'x' + 1")
      await client.query('SELECT 1; SELECT 2')
      await client.query("XA END 'a'")
      await client.query("XA ROLLBACK 'a'")
      await client.ping()
    },
    {},
    { multipleStatements: true },
  )
  expect(passed.filter((each) => each.startsWith('answer'))).toEqual([
    'answer ROWS 2 (I)',
    'answer OK (T)',
    'answer OK 1 (T)',
    'answer  (T) !1054',
    'answer ROWS 1 (T) !warning',
    'answer ROWS 1, ROWS 1 (T)',
    'answer OK (T)',
    'answer OK (I)',
    'answer OK (I)',
  ])
  expect(passed[0]).toBe('request SELECT 1 UNION SELECT 2')
})

test('large texts and rows pass unchanged', async () => {
  const large = 'x'.repeat(3_000_000)
  const { passed } = await through(async (client) => {
    const [rows] = await client.query<mysql.RowDataPacket[]>('SELECT ? AS a', [large])
    expect((rows[0]?.['a'] as string).length).toBe(large.length)
  })
  expect(passed.at(-1)).toBe('answer ROWS 1 (I)')
})

test('however the stream is chunked, every byte comes out once, in the same items', async () => {
  const { sent } = await through(async (client) => {
    await client.query('SELECT 1')
    await client.query("SELECT 'two'")
  })
  const stream = Buffer.concat(sent)
  for (const size of [1, 3, 7, stream.length]) {
    const frontend = new MysqlFrontend()
    const items = chunksOf(stream, size).flatMap((chunk) => frontend.push(chunk))
    expect(Buffer.concat(items.map(({ bytes }) => bytes))).toEqual(stream)
    const texts = items.map((item) => item.kind === 'message' && item.message.statements[0]?.sql)
    expect(texts).toEqual(['SELECT 1', "SELECT 'two'"])
  }
  // OK with one changed row, then half of another packet.
  const answer = Buffer.from('0700000100010002000000ff00', 'hex')
  for (const size of [1, 2, answer.length]) {
    const backend = new MysqlBackend()
    backend.expectAnswer()
    const items = chunksOf(answer, size).flatMap((chunk) => backend.push(chunk))
    expect(items).toMatchObject([{ kind: 'answer', answer: { commandTags: ['OK 1'] } }])
    expect(backend.rest()).toEqual(answer.subarray(11))
  }
})

test('what is not understood is an error, and never guessed', () => {
  const execute = Buffer.from('0100000017', 'hex')
  expect(() => new MysqlFrontend().push(execute)).toThrow(WireError)
  const huge = Buffer.from('ffffff0003', 'hex')
  expect(() => new MysqlFrontend().push(huge)).toThrow('too long')
  // An SSLRequest: its flags, and nothing of a user.
  const encrypted = Buffer.from(`20000001000a0000${'00'.repeat(28)}`, 'hex')
  expect(() => new MysqlFrontend().push(encrypted)).toThrow('encrypted')
})

test('a held XA PREPARE never reaches the server, and its session ends with its client', async () => {
  const reached = Promise.withResolvers<undefined>()
  await through(
    async (client) => {
      const [[row]] = await client.query<mysql.RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
      for (const text of ["XA START 'h'", "INSERT INTO account VALUES (2, 'h')", "XA END 'h'"]) {
        await client.query(text)
      }
      void client.query("XA PREPARE 'h'").catch(() => undefined)
      await reached.promise
      client.destroy()
      await eventually('its session to end', async () => {
        const sql = 'SELECT 1 FROM information_schema.processlist WHERE id = ?'
        const [left] = await observer.query<mysql.RowDataPacket[]>(sql, [row?.['id']])
        return left.length === 0
      })
    },
    {
      onRequest: ({ name }) => {
        if (name !== "XA PREPARE 'h'") return 'pass'
        reached.resolve(undefined)
        return 'hold'
      },
    },
  )
  expect((await observer.query('XA RECOVER'))[0]).toEqual([])
})

test('with its answer held, an XA PREPARE is done, and its client never knows', async () => {
  const done = Promise.withResolvers<undefined>()
  await through(
    async (client) => {
      for (const text of ["XA START 'k'", "INSERT INTO account VALUES (3, 'k')", "XA END 'k'"]) {
        await client.query(text)
      }
      const answer = client.query("XA PREPARE 'k'").then(
        () => 'answered',
        () => 'lost',
      )
      await done.promise
      expect((await observer.query('XA RECOVER'))[0]).toHaveLength(1)
      expect(await Promise.race([answer, Promise.resolve('nothing yet')])).toBe('nothing yet')
    },
    {
      onAnswer: ({ name }) => {
        if (name !== "XA PREPARE 'k'") return 'pass'
        done.resolve(undefined)
        return 'hold'
      },
    },
  )
  await eventually('its connection to be gone', () =>
    observer.query("XA ROLLBACK 'k'").then(
      () => true,
      () => false,
    ),
  )
})

test('a killable stream tells of each command before it leaves, and of each answer once it is there', async () => {
  const told: string[] = []
  const stream = killableMysqlStream(
    {
      beforeWrite: ({ statements }, { parameters }) => {
        told.push(`before ${statements[0]?.sql ?? ''} by ${parameters['application_name'] ?? ''}`)
      },
      afterAnswer: ({ commandTags }, { statements }) => {
        told.push(`after ${statements[0]?.sql ?? ''}: ${commandTags.join()}`)
      },
    },
    MYSQL_WIRE,
  )
  const connectAttributes = { program_name: 'teller' }
  const settings = { uri: server.url('shop'), stream, connectAttributes }
  const client = await mysql.createConnection(settings as mysql.ConnectionOptions)
  await client.query('SELECT 1')
  await client.query('DELETE FROM account')
  await client.end()
  expect(told).toEqual([
    'before SELECT 1 by teller',
    'after SELECT 1: ROWS 1',
    'before DELETE FROM account by teller',
    expect.stringMatching(/^after DELETE FROM account: OK/),
  ])
})

function chunksOf(stream: Buffer, size: number): readonly Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < stream.length; at += size) chunks.push(stream.subarray(at, at + size))
  return chunks
}
