/**
 * Owns: the proof, on a real server and with a real killed client process, of what wire-proxy.ts
 * promises: what is held is nowhere, on whichever side it was held.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { eventually, within } from './eventually.ts'
import { fixture, nodeProgram } from './fixture-process.ts'
import { nameOfMessage } from './fixtures/transfer-messages.ts'
import { installExitCleanup } from './exit-cleanup.ts'
import { PostgresServer } from './postgres-server.ts'
import { type NamedMessage, type Verdict, WireProxy } from './wire-proxy.ts'

installExitCleanup()
let server: PostgresServer
let observer: pg.Pool
let gid = ''
let count = 0

beforeAll(async () => {
  server = await PostgresServer.create({ name: 'proxied' })
  await server.start()
  observer = new pg.Pool({ connectionString: server.url(), application_name: 'observer' })
  observer.on('error', () => undefined)
  await observer.query('CREATE TABLE account (gid text PRIMARY KEY, cents int)')
})

beforeEach(() => {
  count += 1
  gid = `gid-${count}`
})

afterAll(async () => {
  await observer.end()
  await server.remove()
})

test('everything passes, named and in order, when nothing is held', async () => {
  await using proxy = await proxied()
  const { ended, output } = transfer(proxy)
  expect(await ended).toEqual([0, null])
  expect(output.text).toBe('done begin\ndone work\ndone prepare\ndone commit\n')
  expect(await state()).toEqual({ prepared: false, committed: true })
  await proxy.waitFor('the end', (entry) => entry.point === 'closed')
  const told = proxy.transcript.map((entry) =>
    entry.point === 'closed'
      ? 'closed'
      : `${entry.point} ${entry.named.name} ${entry.fate} by ${entry.named.connection.application}`,
  )
  expect(told).toEqual([
    ...['begin', 'work', 'prepare', 'commit'].flatMap((name) => [
      `request ${name} passed by transfer`,
      `answer ${name} passed by transfer`,
    ]),
    'closed',
  ])
  const answer = proxy.transcript.find(
    (each) => each.point === 'answer' && isNamed(each, 'prepare'),
  )
  expect(answer).toMatchObject({ answer: { commandTags: ['PREPARE TRANSACTION'], status: 'I' } })
})

test('a held PREPARE never reaches the server, even when its client is killed', async () => {
  await using proxy = await proxied()
  proxy.hooks.onRequest = holdAt('prepare')
  const { child, ended, output } = transfer(proxy)
  await proxy.whenHeld('request', 'prepare')
  expect(await state()).toEqual({ prepared: false, committed: false })
  expect(await sessionsOf('transfer')).toEqual(['idle in transaction'])

  child.kill('SIGKILL')
  expect(await ended).toEqual([null, 'SIGKILL'])
  await proxy.waitFor('the end', (entry) => entry.point === 'closed')
  await eventually('the session to end', async () => (await sessionsOf('transfer')).length === 0)
  expect(await state()).toEqual({ prepared: false, committed: false })
  expect(output.text).toBe('done begin\ndone work\n')
})

test('with its answer held, a PREPARE is done, and its killed client never knew', async () => {
  await using proxy = await proxied()
  proxy.hooks.onAnswer = holdAt('prepare')
  const { child, ended, output } = transfer(proxy)
  await proxy.whenHeld('answer', 'prepare')
  expect(await state()).toEqual({ prepared: true, committed: false })

  child.kill('SIGKILL')
  expect(await ended).toEqual([null, 'SIGKILL'])
  await proxy.waitFor('the end', (entry) => entry.point === 'closed')
  await eventually('the session to end', async () => (await sessionsOf('transfer')).length === 0)
  expect(await state()).toEqual({ prepared: true, committed: false })
  expect(output.text).toBe('done begin\ndone work\n')
  await observer.query(`ROLLBACK PREPARED '${gid}'`)
})

test('a client that dies while the hook still decides has its message abandoned', async () => {
  await using proxy = await proxied()
  const reached = Promise.withResolvers<undefined>()
  const verdict = Promise.withResolvers<Verdict>()
  proxy.hooks.onRequest = (named) => {
    if (named.name !== 'commit') return 'pass'
    reached.resolve(undefined)
    return verdict.promise
  }
  const { child, ended } = transfer(proxy)
  await within('the COMMIT PREPARED', reached.promise, 10_000)
  child.kill('SIGKILL')
  await ended
  await proxy.waitFor('the end', (entry) => entry.point === 'closed')
  verdict.resolve('pass')
  await proxy.waitFor('it', (entry) => entry.point === 'request' && entry.fate === 'abandoned')
  expect(await state()).toEqual({ prepared: true, committed: false })
  await observer.query(`ROLLBACK PREPARED '${gid}'`)
})

test('a verdict that comes later lets a held message and a held answer go on', async () => {
  await using proxy = await proxied()
  const before = Promise.withResolvers<Verdict>()
  const after = Promise.withResolvers<Verdict>()
  const answered = Promise.withResolvers<undefined>()
  proxy.hooks.onRequest = ({ name }) => (name === 'commit' ? before.promise : 'pass')
  proxy.hooks.onAnswer = ({ name }) => {
    if (name !== 'commit') return 'pass'
    answered.resolve(undefined)
    return after.promise
  }
  const { ended, output } = transfer(proxy)
  await eventually('the prepared branch', async () => (await state()).prepared)
  before.resolve('pass')
  await within('the answer', answered.promise, 10_000)
  expect(await state()).toEqual({ prepared: false, committed: true })
  expect(output.text).not.toContain('done commit')
  after.resolve('pass')
  expect(await ended).toEqual([0, null])
  expect(output.text).toContain('done commit')
})

test.each(['request', 'answer'] as const)(
  'a connection dropped at the %s of COMMIT PREPARED fails its client',
  async (point) => {
    await using proxy = await proxied()
    const drop = ({ name }: NamedMessage) => (name === 'commit' ? 'drop-connection' : 'pass')
    proxy.hooks[point === 'request' ? 'onRequest' : 'onAnswer'] = drop
    const { ended, output } = transfer(proxy)
    expect(await ended).toEqual([1, null])
    expect(output.text).toBe('done begin\ndone work\ndone prepare\n')
    const committed = point === 'answer'
    expect(await state()).toEqual({ prepared: !committed, committed })
    if (!committed) await observer.query(`ROLLBACK PREPARED '${gid}'`)
  },
)

test('a client learns that the server died, even while an answer is held', async () => {
  await using proxy = await proxied()
  proxy.hooks.onAnswer = holdAt('prepare')
  const { ended, output } = transfer(proxy)
  await proxy.whenHeld('answer', 'prepare')
  await server.kill()
  expect(await ended).toEqual([1, null])
  expect(output.text).toBe('done begin\ndone work\n')
  await server.start()
  expect(await state()).toEqual({ prepared: true, committed: false })
  await observer.query(`ROLLBACK PREPARED '${gid}'`)
})

test('the last words of a server that ends a session reach the client', async () => {
  await using proxy = await proxied()
  const client = new pg.Client({ connectionString: proxy.url(server.url()) })
  client.on('error', () => undefined)
  await client.connect()
  const cut = expect(client.query('SELECT pg_sleep(600)')).rejects.toMatchObject({ code: '57P01' })
  await eventually('it to sleep', async () => {
    const sql =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    return (await observer.query(sql)).rows.length === 1
  })
  await cut
})

test('messages in a pipeline are held and answered each by itself', async () => {
  await using proxy = await proxied({ name: ({ statements }) => statements[0]?.sql })
  proxy.hooks.onRequest = holdAt('SELECT 2')
  const client = new pg.Client({ connectionString: proxy.url(server.url()), ...pipelined })
  client.on('error', () => undefined)
  await client.connect()
  const first = client.query('SELECT 1')
  const second = client.query('SELECT 2')
  const third = client.query('SELECT 3')
  const failed = Promise.allSettled([second, third])
  expect((await first).rows).toHaveLength(1)
  await proxy.whenHeld('request', 'SELECT 2')
  proxy.dropAll()
  expect((await failed).map((each) => each.status)).toEqual(['rejected', 'rejected'])
  const seen = proxy.transcript.filter((entry) => entry.point === 'request')
  expect(seen.map((entry) => entry.named.name)).toEqual(['SELECT 1', 'SELECT 2'])
})

test('a client that asks for TLS gets the real answer: the server has none', async () => {
  await using proxy = await proxied()
  const connectionString = proxy.url(server.url())
  const client = new pg.Client({ connectionString, ssl: { rejectUnauthorized: false } })
  await expect(client.connect()).rejects.toThrow('does not support SSL')
})

test('a hook that fails does not let its message pass', async () => {
  await using proxy = await proxied()
  proxy.hooks.onRequest = ({ name }) => {
    if (name === 'prepare') throw new Error('broken hook')
    return 'pass'
  }
  const { ended } = transfer(proxy)
  expect(await ended).toEqual([1, null])
  const end = await proxy.waitFor('the end', (entry) => entry.point === 'closed')
  expect(end).toMatchObject({ reason: 'a hook failed: broken hook' })
  expect(await state()).toEqual({ prepared: false, committed: false })
})

test('a name that fails does not let its message pass', async () => {
  await using proxy = await proxied({
    name: () => {
      throw new Error('broken name')
    },
  })
  expect(await transfer(proxy).ended).toEqual([1, null])
  const end = await proxy.waitFor('the end', (entry) => entry.point === 'closed')
  expect(end).toMatchObject({ reason: 'a name failed: broken name' })
})

const pipelined = { pipeline: true } as object

function proxied(options: Partial<Parameters<typeof WireProxy.listen>[0]> = {}) {
  return WireProxy.listen({ targetPort: server.port, name: nameOfMessage, ...options })
}

function holdAt(name: string) {
  return (named: NamedMessage): Verdict => (named.name === name ? 'hold' : 'pass')
}

function isNamed(entry: { named: NamedMessage }, name: string): boolean {
  return entry.named.name === name
}

/** Runs fixtures/transfer.ts as a process of its own. */
function transfer(proxy: WireProxy) {
  const child = spawn(nodeProgram(), [fixture('transfer.ts')], {
    env: { ...process.env, DATABASE_URL: proxy.url(server.url()), GID: gid },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const output = { text: '' }
  child.stdout.on('data', (chunk: Buffer) => (output.text += chunk.toString()))
  const ended = within('the transfer to end', once(child, 'close'), 20_000)
  return { child, ended, output }
}

async function state(): Promise<{ prepared: boolean; committed: boolean }> {
  const prepared = await observer.query('SELECT FROM pg_prepared_xacts WHERE gid = $1', [gid])
  const committed = await observer.query('SELECT FROM account WHERE gid = $1', [gid])
  return { prepared: prepared.rows.length === 1, committed: committed.rows.length === 1 }
}

async function sessionsOf(application: string): Promise<string[]> {
  const sql = 'SELECT state FROM pg_stat_activity WHERE application_name = $1'
  return (await observer.query<{ state: string }>(sql, [application])).rows.map((row) => row.state)
}
