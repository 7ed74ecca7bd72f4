import { randomBytes } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { CONTENDERS } from '../../bench/contenders.ts'
import type { Runner } from '../../bench/contender.ts'
import type { ContenderName } from '../../bench/contenders.ts'
import { SCHEMA } from '../../bench/guarantees/register.ts'
import { STEP_NAMES } from '../../bench/guarantees/steps.ts'
import type { StepName } from '../../bench/guarantees/steps.ts'
import { openStep } from '../../bench/guarantees/transact.ts'
import type { Work } from '../../bench/rivals/with-client.ts'
import { readGid } from '../../src/protocol/index.ts'
import { rejection } from '../support/assent.ts'
import type { TestDatabase } from '../support/databases.ts'
import { counts, prepared, watched } from '../support/watched-pools.ts'
import type { Watched } from '../support/watched-pools.ts'

const WORK: Work = {
  orders: { name: 'insert', text: 'insert into t values ($1)', values: [1] },
  stock: { name: 'insert', text: 'insert into t values ($1)', values: [1] },
}
/** Deferred, so that it fails at the very end. */
const UNIQUE = 'alter table t add unique (x) deferrable initially deferred'

interface Climbed extends Watched {
  readonly runner: Runner
  readonly orders: TestDatabase
  readonly stock: TestDatabase
  /** Of every branch that was prepared. */
  readonly gids: readonly string[]
  /** What the next transactions do. */
  work: Work
}

/** A step that has made its first transaction, with one row in each database. */
async function climb(step: StepName): Promise<Climbed> {
  const gids: string[] = []
  const { databases, pools, lines } = await watched((sql) => {
    const gid = /^PREPARE TRANSACTION '(.*)'$/.exec(sql)?.[1]
    if (gid !== undefined) gids.push(gid)
    return shorten(sql)
  })
  const [orders, stock] = databases
  const runner = openStep(step, pools, () => climbed.work)
  const climbed: Climbed = { databases, pools, lines, gids, runner, orders, stock, work: WORK }
  await runner.run()
  lines.length = 0
  return climbed
}

function shorten(sql: string): string {
  if (sql.startsWith('SET LOCAL')) return sql.replace(/^SET LOCAL (\w+) .*/, 'SET $1')
  if (sql.startsWith('INSERT')) {
    return sql.includes('.epoch AS epoch') ? 'INSERT claim in epoch' : 'INSERT mark'
  }
  return sql.replace(/ '.*/, '')
}

describe('what each step says', () => {
  const USER = 'insert into t values ($1)'
  const TIMED = 'BEGIN; SET idle_in_transaction_session_timeout'
  const DEFERRED = 'SET CONSTRAINTS ALL IMMEDIATE'
  const ENDING = `${DEFERRED}; SET client_min_messages; SET synchronous_commit`
  test.each<[StepName, readonly string[]]>([
    [
      'unrecorded',
      [
        `orders: BEGIN; ${USER}`,
        `stock: BEGIN; ${USER}`,
        'orders: PREPARE TRANSACTION',
        'stock: COMMIT',
        'orders: COMMIT PREPARED',
      ],
    ],
    [
      'with-time-out',
      [
        `orders: ${TIMED}; ${USER}`,
        `stock: ${TIMED}; ${USER}`,
        'orders: PREPARE TRANSACTION',
        'stock: COMMIT',
        'orders: COMMIT PREPARED',
      ],
    ],
    [
      'with-marks',
      [
        `orders: ${TIMED}; ${USER}`,
        `stock: ${TIMED}; INSERT mark; ${USER}`,
        'orders: INSERT mark; PREPARE TRANSACTION',
        'stock: COMMIT',
        'orders: COMMIT PREPARED',
      ],
    ],
    [
      'with-epoch',
      [
        `orders: ${TIMED}; ${USER}`,
        `stock: ${TIMED}; INSERT claim in epoch; ${USER}`,
        'orders: INSERT mark; PREPARE TRANSACTION',
        'stock: COMMIT',
        'orders: COMMIT PREPARED',
      ],
    ],
    [
      'with-settings',
      [
        `orders: ${TIMED}; ${USER}`,
        `stock: ${TIMED}; INSERT claim in epoch; ${USER}`,
        `orders: ${DEFERRED}; SET role; INSERT mark; PREPARE TRANSACTION`,
        `stock: ${DEFERRED}; SET synchronous_commit; COMMIT`,
        'orders: COMMIT PREPARED',
      ],
    ],
    [
      'with-proof',
      [
        `orders: ${TIMED}; ${USER}`,
        `stock: ${TIMED}; INSERT claim in epoch; ${USER}`,
        `orders: ${DEFERRED}; SET role; INSERT mark; PREPARE TRANSACTION`,
        `stock: ${DEFERRED}; SET synchronous_commit; COMMIT`,
        'orders: COMMIT PREPARED',
      ],
    ],
    [
      'on-demand',
      [
        `orders: ${TIMED}; ${USER}`,
        `stock: ${TIMED}; SET default_transaction_read_only; INSERT claim in epoch; ${USER}`,
        `orders: ${ENDING}; SET role; INSERT mark; PREPARE TRANSACTION`,
        `stock: ${ENDING}; COMMIT`,
        'orders: COMMIT PREPARED',
      ],
    ],
  ])('%s: five messages, each answered before the next leaves', async (step, messages) => {
    const { runner, lines, databases } = await climb(step)
    await runner.run()
    expect(lines.filter((_line, at) => at % 2 === 0)).toEqual(messages)
    const senders = messages.map((message) => message.split(':')[0])
    const answers = lines.filter((_line, at) => at % 2 === 1)
    expect(answers.map((line) => line.split(' = ')[0])).toEqual(senders)
    expect(await counts(databases)).toEqual([2, 2])
    expect(await prepared(databases)).toEqual([])
  })
})

describe.each(STEP_NAMES)('%s leaves nothing anywhere', (step) => {
  test('of a failed statement', async () => {
    const climbed = await climb(step)
    climbed.work = { ...WORK, stock: { text: 'insert into t values (1 / $1::int)', values: [0] } }
    expect(await rejection(climbed.runner.run())).toMatchObject({ code: '22012' })
    await expectOnly(climbed, [1, 1])
  })

  test.each([
    ['PREPARE', 0],
    ['COMMIT', 1],
  ])('of a failed %s', async (_what, at) => {
    const climbed = await climb(step)
    await climbed.databases[at]!.sql(UNIQUE)
    expect(await rejection(climbed.runner.run())).toMatchObject({ code: '23505' })
    await expectOnly(climbed, [1, 1])
  })
})

describe('each guarantee is off in the step before, and on in its own', () => {
  test.each([
    ['unrecorded', '0'],
    ['with-time-out', '35s'],
  ] as const)('an idle transaction ends: %s, %s', async (step, setting) => {
    const climbed = await climb(step)
    const text = `insert into seen select current_setting('idle_in_transaction_session_timeout')`
    climbed.work = { orders: { text }, stock: { text } }
    for (const database of climbed.databases) {
      await database.sql('create table seen (setting text)')
    }
    await climbed.runner.run()
    for (const database of climbed.databases) {
      expect(await database.sql('select setting from seen')).toEqual([{ setting }])
    }
  })

  test.each([
    ['with-settings', 'off'],
    ['on-demand', 'on'],
  ] as const)('the server reports the end of the decider: %s, %s', async (step, setting) => {
    const climbed = await climb(step)
    const text = `insert into seen select current_setting('default_transaction_read_only')`
    climbed.work = { ...WORK, stock: { text } }
    await climbed.stock.sql('create table seen (setting text)')
    await climbed.runner.run()
    expect(await climbed.stock.sql('select setting from seen')).toEqual([{ setting }])
  })

  test.each([
    ['with-settings', undefined, [2, 2]],
    ['with-proof', '34000', [1, 1]],
  ] as const)('what BEGIN has bound must still be there: %s, %s', async (step, code, rows) => {
    const climbed = await climb(step)
    climbed.work = { ...WORK, stock: { text: `with w as (insert into t values (1)) ${CLOSES}` } }
    await climbed.stock.sql(CLOSING)
    if (code === undefined) await climbed.runner.run()
    else expect(await rejection(climbed.runner.run())).toMatchObject({ code })
    await expectOnly(climbed, rows)
  })

  test('recovery can ask: with-time-out leaves no row', async () => {
    const climbed = await climb('with-time-out')
    expect(await marksOf(climbed.stock)).toEqual([])
    expect(await marksOf(climbed.orders)).toEqual([])
  })

  test('recovery can ask: with-marks leaves a claim and a receipt of the gid’s txid', async () => {
    const { orders, stock, gids } = await climb('with-marks')
    const gid = readGid(gids[0] ?? '', 'ladder')
    if (gid.kind !== 'ours') throw new Error(`prepared as ${gids[0] ?? 'nothing'}`)
    const { register, epoch, txid, branch } = gid.gid
    expect({ register, branch }).toEqual({ register: 'stock', branch: 'orders' })
    const participants = ['stock', 'orders']
    const mark = { txid, decision: 'commit', app: 'ladder', register, epoch, participants }
    expect(await marksOf(stock)).toEqual([mark])
    expect(await marksOf(orders)).toEqual([mark])
  })

  describe.each([
    ['taken off the list', `delete from ${SCHEMA}.epoch`],
    ['of another server', `update ${SCHEMA}.epoch set server = '000000FF'`],
  ])('an epoch that is %s', (_what, change) => {
    test('is named all the same: with-marks', async () => {
      const climbed = await climb('with-marks')
      await climbed.stock.sql(change)
      await climbed.runner.run()
      await expectOnly(climbed, [2, 2])
    })

    test('is refused: with-epoch', async () => {
      const climbed = await climb('with-epoch')
      await climbed.stock.sql(change)
      const error = await rejection(climbed.runner.run())
      expect((error as Error).message).toBe('the claim was not written')
      await expectOnly(climbed, [1, 1])
    })
  })

  test.each([
    ['with-epoch', 'another role', SPOILT],
    ['with-settings', 'own role', SPOILT],
    ['on-demand', 'own role', RIGHT],
  ] as const)(
    'prepared by the role that logged in, its settings checked: %s by its %s, %j',
    async (step, by, expected) => {
      const climbed = await climb(step)
      const { orders } = climbed
      const role = await roleFor(orders)
      await orders.sql(SEEN)
      await orders.sql(`grant all on seen to ${role}`)
      // A row's values are made before its trigger runs.
      await orders.sql(`create trigger looks before insert on ${SCHEMA}.mark
        for each row execute function look_at_row()`)
      const text = `select ${SPOILED}, set_config('role', '${role}', true)`
      climbed.work = { ...WORK, orders: { text } }
      await climbed.runner.run()
      const user = new URL(orders.url).username
      const own = by === 'own role' ? user : role
      expect(await orders.sql('select * from seen')).toEqual([{ role: own, ...expected }])
    },
  )

  test.each([
    ['with-epoch', 'now', SPOILT],
    ['with-epoch', 'deferred', SPOILT],
    ['with-settings', 'now', DURABLE],
    ['with-settings', 'deferred', DURABLE],
    ['on-demand', 'now', RIGHT],
    ['on-demand', 'deferred', RIGHT],
  ] as const)('the COMMIT that decides, in %s, spoiled %s: %j', async (step, when, expected) => {
    const climbed = await climb(step)
    const { stock } = climbed
    await stock.sql(SEEN)
    if (when === 'deferred') {
      await stock.sql(`create constraint trigger spoils after insert on t
        deferrable initially deferred for each row execute function spoil_row()`)
    }
    climbed.work = { ...WORK, stock: { text: `select work('${when}')` } }
    await climbed.runner.run()
    expect(await stock.sql('select durability, warnings from seen')).toEqual([expected])
    await expectOnly(climbed, [2, 2])
  })
})

test('Assent marks one database alone if it is told to, and not otherwise', async () => {
  const { databases, pools } = await watched()
  await databases[0].sql('create table alone (id int, amount int)')
  const marks = 'select count(*)::int as n from assent.mark'
  const run = async (name: ContenderName): Promise<void> => {
    const runner = CONTENDERS[name].open(pools)
    await runner.run()
    await runner.close()
  }
  await run('assent-receipt')
  expect(await databases[0].sql(marks)).toEqual([{ n: 1 }])
  await run('assent-alone')
  expect(await databases[0].sql(marks)).toEqual([{ n: 1 }])
})

const RIGHT = { durability: 'on', warnings: 'warning' }
const DURABLE = { durability: 'on', warnings: 'error' }
const SPOILT = { durability: 'off', warnings: 'error' }
const SPOILED = `set_config('synchronous_commit', 'off', true),
  set_config('client_min_messages', 'error', true)`

/** A transaction's end closes every portal; nothing but that does, if the program does not. */
const CLOSES = 'select close_all()'
const CLOSING = `create function close_all() returns void language plpgsql as $$
  begin execute 'close all'; end $$`

/** `work` has a cursor that outlives its transaction: its query runs in the middle of COMMIT. */
const SEEN = `create table seen (role text, durability text, warnings text);
  create function look() returns int language sql volatile as $$
    insert into seen values (current_user, current_setting('synchronous_commit'),
      current_setting('client_min_messages')) returning 1 $$;
  create function look_at_row() returns trigger language plpgsql as $$
    begin perform look(); return new; end $$;
  create function spoil_row() returns trigger language plpgsql as $$
    begin perform ${SPOILED}; return null; end $$;
  create function work(at text) returns void language plpgsql as $$ begin
    insert into t values (1);
    if at = 'now' then perform ${SPOILED}; end if;
    execute 'declare held cursor with hold for select look()';
  end $$;`

/** A role that may write Assent's tables, and did not log in. */
async function roleFor(database: TestDatabase): Promise<string> {
  const role = `clerk_${randomBytes(6).toString('hex')}`
  await database.sql(`create role ${role}`)
  await database.sql(`grant all on schema ${SCHEMA} to ${role}`)
  await database.sql(`grant all on all tables in schema ${SCHEMA} to ${role}`)
  onTestFinished(async () => {
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query(`drop owned by ${role}`)
    await client.query(`drop role ${role}`)
    await client.end()
  })
  return role
}

async function marksOf(database: TestDatabase): Promise<readonly Record<string, unknown>[]> {
  return database.sql(`select txid, decision, app, register, epoch, participants
    from ${SCHEMA}.mark order by txid`)
}

/** So many rows in each, the same marks in both, and nothing prepared. */
async function expectOnly({ databases }: Climbed, rows: readonly number[]): Promise<void> {
  expect(await counts(databases)).toEqual(rows)
  expect(await prepared(databases)).toEqual([])
  expect(await marksOf(databases[0])).toEqual(await marksOf(databases[1]))
}
