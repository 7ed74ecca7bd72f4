import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import pg from 'pg'
import { eventually } from '../../harness/eventually.ts'
import { POOL_APPLICATION } from '../../bench/contender.ts'
import type { ContenderName } from '../../bench/contenders.ts'
import { MessageMeter, count, readServer } from '../../bench/counters.ts'
import { Stage } from '../../bench/stage.ts'
import { Ledger } from '../../bench/workload.ts'

// Servers of this file's own: they count for everybody who uses them.
let stage: Stage
let ledger: Ledger

beforeAll(async () => {
  stage = await Stage.open(new Map())
  ledger = new Ledger(stage)
})

afterAll(async () => {
  await stage.close()
})

/** Runs statements on a session of their own, which has reported what it did when it is over. */
async function session(...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: stage.urls.orders })
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

describe('forced writes', () => {
  const change = 'update alone set amount = amount where id = 1'
  const prepare = ['begin', change, `prepare transaction 'p'`]
  const nTimes = (times: number, statements: readonly string[]): readonly string[] =>
    Array.from({ length: times }, () => statements).flat()

  test.each([
    ['a COMMIT of a write is one', 1, [change]],
    ['a read is none', 0, ['select * from alone where id = 1']],
    ['a rollback is none', 0, ['begin', change, 'rollback']],
    ['PREPARE and COMMIT PREPARED are one each', 2, [...prepare, `commit prepared 'p'`]],
    ['synchronous_commit = off spares a COMMIT', 0, ['set synchronous_commit = off', change]],
  ])('%s', async (_what, each, statements) => {
    const before = await readServer(stage.control.orders)
    await session(...nTimes(20, statements))
    const after = await readServer(stage.control.orders)
    // Now and then the WAL writer is faster: then a session had none to wait for.
    const forced = after.forcedWrites - before.forcedWrites
    expect(forced).toBeLessThanOrEqual(20 * each)
    expect(forced).toBeGreaterThanOrEqual(20 * each - 1)
  })
})

describe('messages', () => {
  async function metered(application = POOL_APPLICATION) {
    const meter = new MessageMeter()
    const proxy = await meter.watch(stage.urls.orders)
    const connectionString = proxy.url(stage.urls.orders)
    const clients = [1, 2].map(
      () => new pg.Client({ connectionString, application_name: application }),
    )
    for (const client of clients) await client.connect()
    const measure = async (run: (one: pg.Client, other: pg.Client) => Promise<unknown>) => {
      await meter.measure(async () => {
        await run(clients[0]!, clients[1]!)
      })
      for (const client of clients) await client.end()
      await proxy.close()
      return { messages: meter.messages, inARow: meter.inARow }
    }
    return measure
  }

  test('those that wait for each other are in a row', async () => {
    const measure = await metered()
    const counted = await measure(async (one, other) => {
      await one.query('select 1')
      await other.query('select $1::int', [1])
      await one.query('select 1')
    })
    expect(counted).toEqual({ messages: 3, inARow: 3 })
  })

  test('those that leave together are not', async () => {
    const measure = await metered()
    const counted = await measure(async (one, other) => {
      await one.query('select 1')
      await Promise.all([one.query('select 1'), other.query('select 1')])
    })
    expect(counted).toEqual({ messages: 3, inARow: 2 })
  })

  test('only those of the pools are counted', async () => {
    const measure = await metered('somebody else')
    expect(await measure((one) => one.query('select 1'))).toEqual({ messages: 0, inARow: 0 })
  })
})

test.each<[ContenderName, { messages: number; inARow: number; forcedWrites: number }]>([
  ['no-guarantee', { messages: 4, inARow: 3, forcedWrites: 2 }],
  ['by-hand', { messages: 6, inARow: 4, forcedWrites: 4 }],
  ['by-hand-awaited', { messages: 8, inARow: 8, forcedWrites: 4 }],
  ['bare-driver', { messages: 3, inARow: 3, forcedWrites: 1 }],
  ['unrecorded', { messages: 5, inARow: 5, forcedWrites: 3 }],
  ['with-settings', { messages: 5, inARow: 5, forcedWrites: 3 }],
  ['with-proof', { messages: 5, inARow: 5, forcedWrites: 3 }],
  ['on-demand', { messages: 5, inARow: 5, forcedWrites: 3 }],
])('a transaction of %s is %j', async (name, expected) => {
  const { messages, inARow, forcedWrites } = await count(name, 40, stage, ledger)
  expect({ messages, inARow, forcedWrites: Math.round(forcedWrites) }).toEqual(expected)
})

test('Assent has one forced write less than two-phase commit by hand', async () => {
  const counts = await count('assent-applied', 40, stage, ledger)
  expect(Math.round(counts.forcedWrites)).toBe(3)
})

describe('the ledger', () => {
  test('notices a change that nobody was told of', async () => {
    await ledger.verify('everybody')
    await session('update account set amount = amount + 1 where id = 1')
    await expect(ledger.verify('a liar')).rejects.toThrow(/after a liar the databases have/)
    await session('update account set amount = amount - 1 where id = 1')
    await ledger.verify('everybody')
  })

  test('notices what stays prepared', async () => {
    const change = 'update account set amount = amount where id = 1'
    await session('begin', change, `prepare transaction 'left'`)
    await expect(ledger.verify('a sloppy one', 100)).rejects.toThrow(/nothing to be prepared/)
    await session(`rollback prepared 'left'`)
    await eventually('the ledger to agree', () => ledger.verify('everybody').then(() => true))
  })
})
