import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import type { Report } from 'assent'
import { pg as participant } from 'assent/pg'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { refusal } from '../support/assent.ts'
import { type TranscriptEntry, type Verdict, WireProxy } from '../../harness/wire-proxy.ts'
import { freshDatabase } from '../support/databases.ts'
import { kindOfMessage } from '../support/message-kinds.ts'

/**
 * A server that waits for a synchronous standby which does not exist. Cutting such a wait off leaves
 * a COMMIT that is visible and not replicated, and PostgreSQL says so in a warning, nothing else.
 */
let server: PostgresServer
let admin: pg.Pool

beforeAll(async () => {
  server = await PostgresServer.create({ name: 'replicated' })
  await server.start()
  admin = new pg.Pool({ connectionString: server.url() })
  admin.on('error', () => undefined)
})

afterAll(async () => {
  await admin.end()
  await server.remove()
})

async function rowsOf(pool: pg.Pool, text: string): Promise<readonly object[]> {
  return (await pool.query<Record<string, unknown>>(text)).rows
}

async function setStandby(name: string): Promise<void> {
  // Utility statements: they would wait for the standby themselves.
  const client = await admin.connect()
  await client.query('set synchronous_commit = local')
  await client.query(`alter system set synchronous_standby_names = '${name}'`)
  await client.query('select pg_reload_conf()')
  client.release(true)
  await expect
    .poll(async () => rowsOf(admin, 'show synchronous_standby_names'), {
      timeout: 10_000,
    })
    .toEqual([{ synchronous_standby_names: name }])
}

/**
 * Waits until commits really wait: the checkpointer has to hear of the standby first, and until then
 * nobody waits, whatever the setting shows.
 */
async function commitsWait(): Promise<void> {
  const probe = await admin.connect()
  await expect
    .poll(async () => {
      const write = probe.query("select pg_logical_emit_message(true, 'probe', 'x')")
      const done = await Promise.race([write.then(() => 'done'), waiting()])
      await admin.query(CANCEL_WAITS)
      await write
      return done
    })
    .toBe('waits')
  probe.release()
}

/** Resolves once some session waits for replication. */
async function waiting(): Promise<'waits' | 'nobody waits'> {
  const deadline = Date.now() + 1_000
  while (Date.now() < deadline) {
    const rows = await rowsOf(admin, "select 1 from pg_stat_activity where wait_event = 'SyncRep'")
    if (rows.length > 0) return 'waits'
  }
  return 'nobody waits'
}

const CANCEL_WAITS = `select pg_cancel_backend(pid) from pg_stat_activity
  where wait_event = 'SyncRep'`

/** Cuts off every wait for replication, until `stop` is called. */
function cutWaits(): () => Promise<void> {
  const stopped = new AbortController()
  const cutting = (async () => {
    while (!stopped.signal.aborted) {
      await admin.query(CANCEL_WAITS)
    }
  })()
  const stop = async (): Promise<void> => {
    stopped.abort()
    await cutting
  }
  onTestFinished(stop)
  return stop
}

const STATEMENT_MS = 300
type Scene = Awaited<ReturnType<typeof scene>>

/** `statementMs` is the default of all sessions, but for those of recovery. */
async function scene(database: string, statementMs = 0) {
  await admin.query(`create database ${database}`)
  await admin.query(`alter database ${database} set statement_timeout = ${statementMs}`)
  const proxy = await WireProxy.listen({ targetPort: server.port, name: kindOfMessage })
  const replicated = new pg.Pool({ connectionString: proxy.url(server.url(database)) })
  replicated.on('error', () => undefined)
  const other = await freshDatabase('first')
  const reports: Report[] = []
  const assent = createAssent({
    app: 'shop',
    participants: { replicated: participant(replicated), other: participant(other.pool) },
    onReport: (report) => reports.push(report),
  })
  onTestFinished(async () => {
    await setStandby('')
    await assent.close()
    await replicated.end()
    await proxy.close()
  })
  await replicated.query('create table t (x int)')
  await replicated.query(`create function hush() returns text language sql as
    $$ select set_config('client_min_messages', 'error', true) $$`)
  const write = (decider: 'replicated' | 'other', hush: string = HUSH.said): Promise<void> =>
    assent.transaction(
      async (db) => {
        await db.replicated.query('insert into t values (1)')
        await db.replicated.query(hush)
        await db.other.query('insert into t values (1)')
      },
      { decider, timeoutMs: 1_500 },
    )
  const count = async (): Promise<readonly number[]> => {
    const { rows } = await replicated.query<{ n: number }>('select count(*)::int as n from t')
    return [rows[0]?.n ?? -1, await other.count()]
  }
  await write('replicated')
  return { assent, proxy, reports, write, count, replicated }
}

/** How somebody switches warnings off, in one of which it is to be heard that a wait was cut off. */
const HUSH = { said: "set client_min_messages = 'error'", hidden: 'select hush()' }

/** Nobody waits for a standby that was not seen yet. */
async function standbyIsSeen({ assent }: Pick<Scene, 'assent'>): Promise<void> {
  await setStandby('nobody')
  await commitsWait()
  await assent.recover()
}

describe.each(['said', 'hidden'] as const)('where warnings are switched off, %s', (how) => {
  test('a COMMIT whose wait for replication was cut off is unknown, until it is replicated (fault 81)', async () => {
    const made = await scene(`decider_${how}`)
    const { assent, write, count } = made
    await standbyIsSeen(made)
    const stop = cutWaits()
    const error = await refusal(write('replicated', HUSH[how]), 'ASSENT_UNCLEAR', 'unknown')
    await stop()
    expect(error.message).toMatch(/canceling wait for synchronous replication/)
    expect(await assent.outcome(error.transactionId ?? '')).toMatchObject({ outcome: 'unknown' })
    await setStandby('')
    await expect
      .poll(() => assent.outcome(error.transactionId ?? ''), { timeout: 10_000 })
      .toEqual({ outcome: 'committed' })
    await expect.poll(count, { timeout: 10_000 }).toEqual([2, 2])
  })

  test('a PREPARE whose wait for replication was cut off is no yes: everything is rolled back', async () => {
    const made = await scene(`voter_${how}`)
    const { write, count, replicated } = made
    await standbyIsSeen(made)
    const stop = cutWaits()
    await refusal(write('other', HUSH[how]), 'ASSENT_UNCLEAR', 'aborted')
    await stop()
    await setStandby('')
    const prepared = 'select gid from pg_prepared_xacts where database = current_database()'
    await expect.poll(async () => rowsOf(replicated, prepared), { timeout: 10_000 }).toEqual([])
    expect(await count()).toEqual([1, 1])
  })
})

test('a statement time-out inside COMMIT PREPARED is unclear, and found out (fault 80)', async () => {
  const { write, count, proxy, reports } = await scene('slow_end', STATEMENT_MS)
  proxy.hooks.onRequest = async ({ name }): Promise<Verdict> => {
    if (name !== 'apply') return 'pass'
    await setStandby('nobody')
    await commitsWait()
    return 'pass'
  }
  await write('other')
  const [end] = proxy.transcript.filter((entry) => isAnswerTo(entry, 'apply'))
  expect(end).toMatchObject({ answer: { commandTags: ['COMMIT PREPARED'] } })
  expect(end).toMatchObject({ answer: { notices: [{ sqlState: '01000' }] } })
  expect(reports).toEqual([])
  await setStandby('')
  await expect.poll(count, { timeout: 10_000 }).toEqual([2, 2])
})

test('remote_apply is kept where there is a synchronous standby to wait for', async () => {
  const { assent, replicated } = await scene('levels')
  // The mark's own message tells what holds there, by failing.
  await replicated.query(`create function tell() returns trigger language plpgsql as
    $$ begin raise exception '%', current_setting('synchronous_commit'); end $$`)
  await replicated.query(`create trigger tells before insert on assent.mark
    for each row execute function tell()`)
  const seen = async (level: string): Promise<string> => {
    const work = assent.transaction(
      async (db) => {
        await db.replicated.query('insert into t values (1)')
        await db.replicated.query(`select set_config('synchronous_commit', '${level}', true)`)
        await db.other.query('insert into t values (1)')
      },
      { decider: 'replicated' },
    )
    return ((await refusal(work, 'ASSENT_REFUSED')).cause as Error).message
  }
  await expect.poll(() => seen('remote_apply'), { timeout: 10_000 }).toBe('on')
  await setStandby('nobody')
  await expect.poll(() => seen('remote_apply'), { timeout: 10_000 }).toBe('remote_apply')
  expect(await seen('on')).toBe('on')
  expect(await seen('local')).toBe('on')
  expect(await seen('off')).toBe('on')
})

function isAnswerTo(entry: TranscriptEntry, name: string): boolean {
  return entry.point === 'answer' && entry.named.name === name && entry.answer.notices.length > 0
}
