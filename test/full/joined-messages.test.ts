/**
 * Whatever MariaDB answers to a mark that is joined with the end of its work is taken as it is where both are
 * messages of their own. (What takes no waiting: test/mysql/messages.test.ts.)
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { createConnection } from 'mysql2/promise'
import type { Connection } from 'mysql2/promise'
import { eventually } from '../../harness/eventually.ts'
import type { Answer } from '../../src/protocol/index.ts'
import type { Branch } from '../../src/ports/index.ts'
import { mysqlBranch, runMysql } from '../support/mysql-branch.ts'
import { WAYS, listened } from '../support/mysql-messages.ts'
import type { Listened } from '../support/mysql-messages.ts'

const INSERT = 'insert into t values (1)'

async function another({ database }: Listened): Promise<Connection> {
  const connection = await createConnection(database.url)
  onTestFinished(() => {
    connection.destroy()
  })
  return connection
}

const threadOf = (branch: Branch): number => mysqlBranch(branch).lent.server.owner.connection

async function waits({ database }: Listened, thread: number): Promise<void> {
  const text = `select trx_id from information_schema.innodb_trx
    where trx_mysql_thread_id = ${thread} and trx_state = 'LOCK WAIT'`
  // InnoDB makes this table anew only when nobody has read it for 100 ms.
  const patience = { everyMs: 150 }
  await eventually('it to wait', async () => (await database.sql(text)).length === 1, patience)
}

/** Somebody holds the key of the mark, in a transaction that is heavier than the branch. */
async function holdKey(of: Listened): Promise<Connection> {
  const holder = await another(of)
  await holder.query('begin')
  await holder.query('insert into t select seq from seq_1_to_500')
  await holder.query(
    `insert into mark (txid, decision, app, register, epoch, participants)
     values ('${of.mark.id.txid}', 'commit', 'x', 'x', 'x', '[]')`,
  )
  return holder
}

type MarkKind = 'claim' | 'vote'
const BOTH = WAYS.flatMap((way) => (['claim', 'vote'] as const).map((kind) => [way, kind] as const))

describe.each(BOTH)('messages %s, %s', (statements, kind: MarkKind) => {
  async function begun(setting?: string): Promise<{ of: Listened; branch: Branch }> {
    const of = await listened('maria', { statements })
    if (setting !== undefined) await of.database.pool.query(`set session ${setting}`)
    const branch = await of.join()
    await runMysql(branch, INSERT)
    return { of, branch }
  }

  const mark = (of: Listened, branch: Branch): Promise<Answer> =>
    kind === 'claim' ? branch.claim(of.mark) : branch.vote(of.mark, of.gid)

  async function expectNothing(of: Listened): Promise<void> {
    await expect.poll(() => of.marks()).toEqual([])
    await expect.poll(() => of.database.count()).toBe(0)
    const prepared = await of.database.prepared()
    expect(prepared.filter(({ gtrid }) => gtrid.includes(of.mark.id.txid))).toEqual([])
  }

  test.each([
    ['innodb_lock_wait_timeout = 1', 1205],
    ['max_statement_time = 0.5', 1969],
  ])('a key that is not had in time is a no: %s', async (setting, errno) => {
    const { of, branch } = await begun(setting)
    const holder = await holdKey(of)
    branch.seal()
    expect(await mark(of, branch)).toMatchObject({ answer: 'no', cause: { errno } })
    await holder.query('rollback')
    expect(await branch.end('abort', undefined)).toEqual({ answer: 'done' })
    await expectNothing(of)
  })

  test('a deadlock in the mark is a no', async () => {
    const { of, branch } = await begun()
    await of.database.sql('create table locked (x int primary key) engine = innodb')
    await of.database.sql('insert into locked values (1)')
    await runMysql(branch, 'update locked set x = 2')
    const holder = await holdKey(of)
    const waiting = holder.query('update locked set x = 3')
    await waits(of, holder.threadId)
    branch.seal()
    expect(await mark(of, branch)).toMatchObject({ answer: 'no', cause: { errno: 1213 } })
    expect(await branch.end('abort', undefined)).toEqual({ answer: 'done' })
    await waiting
    await holder.query('rollback')
    await expectNothing(of)
  })

  test('a mark behind a deadlock that was swallowed is a no', async () => {
    const { of, branch } = await begun()
    await of.database.sql('create table locked (x int primary key) engine = innodb')
    await of.database.sql('insert into locked values (1), (2)')
    await runMysql(branch, 'update locked set x = 10 where x = 1')
    const other = await another(of)
    await other.query('begin')
    await other.query('insert into t select seq from seq_1_to_500')
    await other.query('update locked set x = 20 where x = 2')
    const waiting = other.query('update locked set x = 11 where x = 1')
    await waits(of, other.threadId)
    await expect(runMysql(branch, 'update locked set x = 21 where x = 2')).rejects.toMatchObject({
      errno: 1213,
    })
    await waiting
    await other.query('rollback')
    branch.seal()
    const answer = await mark(of, branch)
    // 11.4 says so at XA END (1614), 10.11 at the INSERT (1399).
    const cause = { errno: expect.toBeOneOf([1399, 1614]) as number }
    expect(answer).toMatchObject({ answer: 'no', cause })
    await branch.end('abort', undefined)
    await expectNothing(of)
  })

  test.each([
    ['QUERY', { answer: 'unknown', cause: { errno: 1317 } }],
    ['CONNECTION', { answer: 'unknown' }],
  ])('KILL %s while it waits is unknown, and leaves nothing', async (what, answer) => {
    const { of, branch } = await begun()
    const holder = await holdKey(of)
    branch.seal()
    const marked = mark(of, branch)
    await waits(of, threadOf(branch))
    await of.database.sql(`KILL ${what} ${threadOf(branch)}`)
    expect(await marked).toMatchObject(answer)
    await branch.end('abort', undefined)
    await holder.query('rollback')
    await expectNothing(of)
  })

  test.each([
    "sql_mode = 'ORACLE'",
    "sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,IGNORE_SPACE'",
    'autocommit = 0',
    'completion_type = 1',
    'sql_select_limit = 0, sql_safe_updates = 1',
    'tx_isolation = SERIALIZABLE',
  ])('a session with %s marks and commits', async (setting) => {
    const { of, branch } = await begun(setting)
    branch.seal()
    expect(await mark(of, branch)).toEqual({ answer: 'yes' })
    if (kind === 'claim') expect(await branch.commit()).toEqual({ answer: 'yes' })
    else expect(await branch.end('commit', of.gid)).toEqual({ answer: 'done' })
    expect([await of.database.count(), await of.marks()]).toEqual([1, ['commit']])
  })
})

describe.each(WAYS)('messages %s', (statements) => {
  test.each(['ROW', 'MIXED', 'STATEMENT'])('a binary log of a session in %s', async (format) => {
    const of = await listened('mariaBinlog', { statements })
    await of.database.pool.query(`set session binlog_format = ${format}`)
    const branch = await of.join()
    await runMysql(branch, INSERT)
    branch.seal()
    const answer = await branch.vote(of.mark, of.gid)
    if (format === 'STATEMENT') {
      expect(answer).toMatchObject({ answer: 'no', cause: { code: 'ASSENT_NOT_DURABLE' } })
      expect(await branch.end('abort', of.gid)).toEqual({ answer: 'done' })
    } else {
      expect(answer).toEqual({ answer: 'yes' })
      expect(await branch.end('commit', of.gid)).toEqual({ answer: 'done' })
    }
  })

  test.each([undefined, 'serializable'] as const)(
    'a connection that was left inside a transaction is replaced (isolation: %s)',
    async (isolation) => {
      const of = await listened('maria', { statements })
      const left = await of.database.pool.getConnection()
      await left.query('begin')
      await left.query('insert into t values (7)')
      left.release()
      const branch = await of.join({ isolation })
      expect(threadOf(branch)).not.toBe(left.threadId)
      const inside = await mysqlBranch(branch).lent.link.send(
        'select @@in_transaction, @@idle_transaction_timeout',
      )
      expect(inside).toMatchObject({ rows: [['1', '15']] })
      await branch.end('abort', undefined)
      await expect.poll(() => of.database.count()).toBe(0)
    },
  )

  test('the isolation and access that were asked for are those of the branch alone', async () => {
    const of = await listened('maria', { statements })
    const expectLevel = async (branch: Branch, level: string): Promise<void> => {
      await runMysql(branch, 'select * from t for update')
      const text = `select trx_isolation_level as level from information_schema.innodb_trx
        where trx_mysql_thread_id = ${threadOf(branch)}`
      // See `waits`.
      await expect.poll(() => of.database.sql(text), { interval: 150 }).toEqual([{ level }])
    }
    const asked = await of.join({ isolation: 'serializable' })
    await expectLevel(asked, 'SERIALIZABLE')
    await asked.end('abort', undefined)
    const reader = await of.join({ access: 'read' })
    await expect(runMysql(reader, INSERT)).rejects.toMatchObject({ errno: 1792 })
    await reader.end('abort', undefined)
    const next = await of.join()
    await expectLevel(next, 'REPEATABLE READ')
    await runMysql(next, INSERT)
    await next.end('abort', undefined)
  })
})
