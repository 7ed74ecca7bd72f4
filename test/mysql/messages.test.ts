/**
 * What goes to MariaDB in one message, and what becomes of it when a part of that fails. (Errors that take
 * longer to make: test/full/joined-messages.test.ts.)
 */
import { describe, expect, test } from 'vitest'
import type { Branch, JoinRequest } from '../../src/ports/index.ts'
import { Over } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { readAnswer } from '../../src/systems/mysql/answers.ts'
import type { Driver, Link, Reply } from '../../src/systems/mysql/driver.ts'
import { lend } from '../../src/systems/mysql/lending.ts'
import { doctorFindings } from '../../src/systems/mysql/site-findings.ts'
import { mysqlBranch, runMysql } from '../support/mysql-branch.ts'
import { WAYS, listened, shapesOf } from '../support/mysql-messages.ts'
import type { Listened } from '../support/mysql-messages.ts'

const INSERT = 'insert into t values (1)'
/** What the user's statements did may be durable: nobody may be told that it was aborted. */
const NOT_THE_SAME = {
  answer: 'no',
  cause: { code: 'ASSENT_TRANSACTION_CONTROL', outcome: 'unknown' },
}

/** Its first branch asks for the server's facts, which later ones know. */
async function knowing(of: Listened): Promise<Listened> {
  const first = await of.join()
  await first.end('abort', undefined)
  of.said.length = 0
  return of
}

/** Its transaction is gone from its session, which is in whatever `instead` says. */
async function endedByOthers(branch: Branch, instead: readonly string[] = []): Promise<Link> {
  const { link, xid } = mysqlBranch(branch).lent
  for (const text of [`XA END ${xid}`, `XA ROLLBACK ${xid}`, ...instead]) {
    expect(await link.send(text)).toMatchObject({ kind: 'answered' })
  }
  return link
}

async function vote(of: Listened): Promise<void> {
  const { mark, gid } = of
  const branch = await of.join({ isolation: 'read committed' })
  await runMysql(branch, INSERT)
  branch.seal()
  expect(await branch.vote(mark, gid)).toEqual({ answer: 'yes' })
  expect(await branch.end('commit', gid)).toEqual({ answer: 'done' })
}

describe('the messages of a branch that votes', () => {
  test('are joined by default: its beginning, and its mark with the end of its work', async () => {
    const of = await knowing(await listened('maria'))
    await vote(of)
    expect(shapesOf(of.said)).toEqual([
      'BEGIN NOT ATOMIC SET SESSION idle_transaction_timeout = 15; ' +
        'SET TRANSACTION ISOLATION LEVEL READ COMMITTED; XA START id; END',
      INSERT,
      'BEGIN NOT ATOMIC mark; XA END id; END',
      'XA PREPARE id',
      'XA COMMIT id',
      'SET SESSION idle_transaction_timeout = 0',
    ])
  })

  test('are single where it is asked for', async () => {
    const of = await knowing(await listened('maria', { statements: 'single' }))
    await vote(of)
    expect(shapesOf(of.said)).toEqual([
      'SET SESSION idle_transaction_timeout = 15',
      'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
      'XA START id',
      INSERT,
      'mark',
      'XA END id',
      'XA PREPARE id',
      'XA COMMIT id',
      'SET SESSION idle_transaction_timeout = 0',
    ])
  })

  test.each([
    ['too short', 9, true],
    ['just right', 10, false],
    ['just right', 15, false],
    ['too long', 16, true],
  ])(
    'leave the idle time-out of the session alone if it will do: %s (%i s)',
    async (_, s, isSet) => {
      const of = await listened('maria')
      await of.database.pool.query(`set session idle_transaction_timeout = ${s}`)
      await knowing(of)
      await vote(of)
      const [begin, last] = [of.said.at(0), of.said.at(-1)]
      expect(begin?.includes(' = 15; ')).toBe(isSet)
      expect(last).toMatch(isSet ? `SET SESSION idle_transaction_timeout = ${s}` : /^XA COMMIT /)
      const [[row]] = (await of.database.pool.query('select @@idle_transaction_timeout as s')) as [
        [{ s: number }],
        unknown,
      ]
      expect(row.s).toBe(s)
    },
  )
})

describe.each(WAYS)('a claim, messages %s', (statements) => {
  test('whose key is taken is a no, and its session is used again', async () => {
    const of = await listened('maria', { statements })
    const { mark, database } = of
    const values = `'${mark.id.txid}', 'commit', 'x', 'x', 'x', '[]'`
    await database.sql(
      `insert into mark (txid, decision, app, register, epoch, participants) values (${values})`,
    )
    const branch = await of.join()
    const { connection } = mysqlBranch(branch).lent.server.owner
    await runMysql(branch, INSERT)
    branch.seal()
    expect(await branch.claim(mark)).toMatchObject({ answer: 'no', cause: { errno: 1062 } })
    expect(await branch.end('abort', undefined)).toEqual({ answer: 'done' })
    const next = mysqlBranch(await of.join())
    expect(next.lent.server.owner.connection).toBe(connection)
    expect(await of.marks()).toEqual(['commit'])
    next.cut()
  })

  // Their decision is NULL. In the other modes it is told by a warning elsewhere, and made an empty text.
  test.each(['', 'ANSI', 'ORACLE', 'TRADITIONAL', 'STRICT_ALL_TABLES', 'NO_ENGINE_SUBSTITUTION'])(
    'and a receipt that may not be written are a no, under sql_mode %j',
    async (mode) => {
      const of = await listened('maria', { statements })
      await of.database.pool.query(`set session sql_mode = '${mode}'`)
      const claiming = await of.join()
      await of.database.sql('delete from epoch')
      await runMysql(claiming, INSERT)
      claiming.seal()
      expect(await claiming.claim(of.mark)).toMatchObject({
        answer: 'no',
        cause: { code: 'ASSENT_STALE_EPOCH' },
      })
      expect(await claiming.end('abort', undefined)).toEqual({ answer: 'done' })
      const voting = await of.join()
      const { link } = mysqlBranch(voting).lent
      const send = link.send.bind(link)
      // As if the server were set to lose what it answers.
      link.send = (text) => send(text.replace('flush_log_at_trx_commit = 1', '$& + 1'))
      await runMysql(voting, INSERT)
      voting.seal()
      expect(await voting.vote(of.mark, of.gid)).toMatchObject({
        answer: 'no',
        cause: { code: 'ASSENT_NOT_DURABLE' },
      })
      await voting.end('abort', of.gid)
      expect(await of.marks()).toEqual([])
      expect(await of.database.count()).toBe(0)
    },
  )

  // What a text that names the id, or something between the pool and the server, can do.
  test.each([
    ['a plain transaction is open', ['START TRANSACTION']],
    ['another XA transaction is open', ["XA START 'somebody-else'"]],
    ['none is open', []],
    ['none is open, without autocommit', ['SET autocommit = 0']],
  ])('where %s instead of its own is a no, and leaves nothing', async (_, instead) => {
    const of = await listened('maria', { statements })
    const branch = await of.join()
    await endedByOthers(branch, instead)
    await runMysql(branch, 'insert into t select 1 from dual where @@in_transaction')
    branch.seal()
    expect(await branch.claim(of.mark)).toMatchObject({ answer: 'no' })
    await branch.end('abort', undefined)
    await expect.poll(() => of.marks()).toEqual([])
    expect(await of.database.count()).toBe(0)
  })

  test('that became durable by itself, on a server that can’t be asked, is withdrawn', async () => {
    const of = await listened('maria', { statements })
    const branch = await of.join()
    const link = await endedByOthers(branch)
    // As MySQL, which has no such variable.
    const send = link.send.bind(link)
    const seen: (readonly unknown[])[] = []
    link.send = async (text) => {
      const reply = await send(text.replace(' AND @@in_transaction', ''))
      seen.push(await of.marks())
      return reply
    }
    branch.seal()
    expect(await branch.claim(of.mark)).toMatchObject(NOT_THE_SAME)
    expect(seen).toContainEqual(['commit'])
    expect(await of.marks()).toEqual([])
  })

  test('and a receipt of the same kind too', async () => {
    const of = await listened('maria', { statements })
    const branch = await of.join()
    const link = await endedByOthers(branch)
    const send = link.send.bind(link)
    link.send = (text) => send(text.replace(' AND @@in_transaction', ''))
    branch.seal()
    expect(await branch.vote(of.mark, of.gid)).toMatchObject(NOT_THE_SAME)
    expect(await of.marks()).toEqual([])
  })

  test('behind work that became durable by itself is no clean abort', async () => {
    const of = await listened('maria', { statements })
    for (const end of ['claim', 'vote'] as const) {
      const branch = await of.join()
      await endedByOthers(branch)
      await runMysql(branch, INSERT)
      branch.seal()
      const ended = end === 'claim' ? branch.claim(of.mark) : branch.vote(of.mark, of.gid)
      expect(await ended).toMatchObject(NOT_THE_SAME)
      await branch.end('abort', undefined)
    }
    expect(await of.marks()).toEqual([])
    expect(await of.database.count()).toBe(2)
  })

  test('that is refused does not withdraw what a person has decided', async () => {
    const of = await listened('maria', { statements })
    const branch = await of.join()
    await endedByOthers(branch)
    await of.database.sql('delete from epoch')
    const resolution = {
      decision: 'commit',
      basis: 'register',
      decidedBy: 'a',
      reason: 'b',
    } as const
    const { byHand } = of.participant
    expect(await byHand.decide({ ...of.gid, ...resolution })).toEqual({ answer: 'written' })
    branch.seal()
    expect(await branch.claim(of.mark)).toMatchObject({ answer: 'no' })
    expect(await of.marks()).toEqual(['heuristic-commit'])
  })
})

test.each([
  ['one row', 1, 0, 'yes'],
  ['no row, as if nothing was inserted', 0, 0, 'unknown'],
  ['a warning, whoever it is of', 1, 1, 'unknown'],
  ['more rows than a mark has', 2, 0, 'unknown'],
])('a mark that is joined with its XA END: %s', (_, affected, warnings, answer) => {
  const reply = { kind: 'answered', affected, warnings, rows: [] } as const
  expect(readAnswer(reply, 'mark and end').answer).toBe(answer)
})

describe('on MySQL, as a driver that plays it says', () => {
  const says: string[] = []
  const rows: Readonly<Record<string, readonly string[]>> = {
    'SELECT VERSION': ['8.0.36', '7', '0', '0'],
    'SELECT UNIX_TIMESTAMP': ['1700000000', '28800'],
  }
  const link: Link = {
    key: {},
    run: () => Promise.reject(new Error('nobody runs anything')),
    onBroken: () => undefined,
    send: (text): Promise<Reply> => {
      says.push(text)
      const found = Object.keys(rows).find((begin) => text.startsWith(begin))
      const answer = found === undefined ? [] : [rows[found] ?? []]
      return Promise.resolve({ kind: 'answered', affected: 0, warnings: 0, rows: answer })
    },
    cut: () => undefined,
    release: () => undefined,
    keepAlive: () => undefined,
  }
  const driver: Driver = {
    system: 'mysql2',
    take: () => Promise.resolve(link),
    connect: () => Promise.resolve(link),
  }
  const lent = (statements: 'joined' | 'single' | undefined) => {
    const facts = { app: 'x', name: 'stock', driver, world: nodeWorld, onWaited: undefined }
    const request: JoinRequest = {
      ...{ txid: 'x'.repeat(20), access: 'write', gid: undefined, isolation: undefined },
      ...{ deadline: Infinity, timeoutMs: 10_000, waiting: new Over() },
      firstClaim: () => undefined,
    }
    return lend({ ...facts, statements }, request)
  }

  test('joined messages are refused, with advice', async () => {
    await expect(lent('joined')).rejects.toMatchObject({
      code: 'ASSENT_OPTION',
      outcome: 'aborted',
      message: expect.stringMatching(
        /Participant stock .* statements: 'joined', and is MySQL.*Leave `statements` out/,
      ) as string,
    })
  })

  test('messages are single by default', async () => {
    says.length = 0
    expect(await lent(undefined)).toMatchObject({ statements: 'single' })
    expect(says.slice(-2)).toEqual([
      'SET SESSION wait_timeout = 15',
      expect.stringMatching(/^XA START /),
    ])
  })
})

test('the doctor says for which time-outs the idle time-out need not be set', async () => {
  const of = await listened('maria')
  const { findings } = await of.participant.examine()
  expect(findings).toContainEqual({
    severity: 'advice',
    what: expect.stringMatching(
      /^idle_transaction_timeout is 0 .*\(35, where that is 30 s\)/,
    ) as string,
    run: undefined,
  })
  const server = { flavour: 'mariadb', idleSeconds: 35 } as Parameters<typeof doctorFindings>[1]
  expect(doctorFindings(new Map(), server)).toContainEqual({
    severity: 'ok',
    what: expect.stringMatching(/is 35 in its sessions: .* time-out is 30 to 35 s$/) as string,
  })
})
