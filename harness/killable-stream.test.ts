/**
 * Owns: the proof, with real processes that really die, of what killable-stream.ts promises.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { within } from './eventually.ts'
import { fixture, nodeProgram } from './fixture-process.ts'
import { nameOfMessage } from './fixtures/transfer-messages.ts'
import { killableStream } from './killable-stream.ts'
import { installExitCleanup } from './exit-cleanup.ts'
import { PostgresServer } from './postgres-server.ts'
import { WireProxy } from './wire-proxy.ts'

installExitCleanup()
let server: PostgresServer
let observer: pg.Pool

beforeAll(async () => {
  server = await PostgresServer.create({ name: 'killable' })
  await server.start()
  observer = new pg.Pool({ connectionString: server.url() })
  // The server goes down behind it.
  observer.on('error', () => undefined)
  await observer.query('CREATE TABLE account (gid text PRIMARY KEY, cents int)')
})

afterAll(async () => {
  await observer.end()
  await server.remove()
})

const lines = ['done begin\n', 'done work\n', 'done prepare\n', 'done commit\n']
const stages = ['before begin', 'before work', 'before prepare', 'before commit']
const finalStages = ['after begin', 'after work', 'after prepare', 'after commit']

test.each([...stages, ...finalStages])('a process killed %s dies exactly there', async (killAt) => {
  await using proxy = await WireProxy.listen({ targetPort: server.port, name: nameOfMessage })
  const gid = killAt.replace(' ', '-')
  const child = spawn(nodeProgram(), [fixture('transfer.ts')], {
    env: { ...process.env, DATABASE_URL: proxy.url(server.url()), GID: gid, KILL_AT: killAt },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  expect(await within('the kill', once(child, 'close'), 20_000)).toEqual([null, 'SIGKILL'])
  await proxy.waitFor('the end', (entry) => entry.point === 'closed')

  // The proxy is the witness of what left the process: all before the point, nothing of it.
  const isBefore = killAt.startsWith('before')
  const at = (isBefore ? stages : finalStages).indexOf(killAt)
  const left = proxy.transcript.filter((entry) => entry.point === 'request').length
  expect(left).toBe(isBefore ? at : at + 1)
  // No line for the answer at which it died: no code that awaits it ran.
  expect(output).toBe(lines.slice(0, at).join(''))

  const prepared = await observer.query('SELECT FROM pg_prepared_xacts WHERE gid = $1', [gid])
  const committed = await observer.query('SELECT FROM account WHERE gid = $1', [gid])
  expect(prepared.rows.length).toBe(left === 3 ? 1 : 0)
  expect(committed.rows.length).toBe(left === 4 ? 1 : 0)
  if (left === 3) await observer.query(`ROLLBACK PREPARED '${gid}'`)
})

test('a client on it works as on a plain socket: large values, errors, pipelines', async () => {
  const seen: string[] = []
  const options = {
    connectionString: server.url(),
    max: 2,
    pipeline: true,
    stream: killableStream({
      beforeWrite: (message, { ordinal }) => {
        seen.push(`${ordinal} > ${String(message.statements[0]?.sql)}`)
      },
      afterAnswer: (answer, message, { ordinal }) => {
        const outcome = answer.errors[0]?.sqlState ?? answer.commandTags.join()
        seen.push(`${ordinal} < ${String(message.statements[0]?.sql)}: ${outcome}`)
      },
    }),
  }
  await using pool = disposable(new pg.Pool(options))
  const client = await pool.value.connect()
  const large = 'ß'.repeat(3_000_000)
  const echo = await client.query<{ echo: string }>('SELECT $1::text AS echo', [large])
  expect(echo.rows[0]?.echo === large).toBe(true)
  const [one, failed, three] = await Promise.allSettled([
    client.query('SELECT 1'),
    client.query('SELECT 1/0'),
    client.query('SELECT 3'),
  ])
  expect([one.status, failed.status, three.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  client.release()
  expect(seen.filter((each) => each.includes('<'))).toEqual([
    '1 < SELECT $1::text AS echo: SELECT 1',
    '1 < SELECT 1: SELECT 1',
    '1 < SELECT 1/0: 22012',
    '1 < SELECT 3: SELECT 1',
  ])
})

test('before a message, all that came earlier has left the process, corked or not', async () => {
  const makeSocket = killableStream({
    beforeWrite: () => waiting.push(socket.writableLength),
  })
  const waiting: number[] = []
  const socket = makeSocket()
  const options = { connectionString: server.url(), pipeline: true, stream: () => socket }
  const client = new pg.Client(options)
  await client.connect()
  socket.cork()
  const both = Promise.all([client.query('SELECT 1'), client.query('SELECT $1::int', [2])])
  socket.uncork()
  await both
  await client.end()
  expect(waiting).toEqual([0, 0])
})

test('TLS is refused rather than silently unseen', async () => {
  const client = new pg.Client({
    connectionString: server.url(),
    ssl: true,
    stream: killableStream({}),
  })
  await expect(client.connect()).rejects.toThrow('TLS')
})

function disposable(value: pg.Pool) {
  return { value, [Symbol.asyncDispose]: () => value.end() }
}
