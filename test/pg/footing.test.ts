/**
 * What is said where a branch's work ends, and when less of it: no more than is needed.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAssent } from 'assent'
import type { Assent } from 'assent'
import { pg as participant } from 'assent/pg'
import type pg from 'pg'
import { watched } from '../support/watched-pools.ts'

const INSERT = 'insert into t values (1)'
type Shop = Assent<Record<'orders' | 'stock', ReturnType<typeof participant<pg.Pool>>>>

/** What is said from now on, without Assent's own reading: settings by their names, marks as `mark`. */
async function shop() {
  const { pools, lines, databases } = await watched((sql) => {
    if (sql.startsWith('INSERT INTO "assent".mark')) return 'mark'
    return sql.replace(/^SET LOCAL (\w+).*/, 'set $1').replace(/ 'A1.*/, '')
  })
  const assent: Shop = createAssent({
    app: 'shop',
    participants: { orders: participant(pools.orders), stock: participant(pools.stock) },
  })
  onTestFinished(() => assent.close())
  await assent.transaction(async (db) => {
    await db.orders.query(INSERT)
    await db.stock.query(INSERT)
  })
  lines.length = 0
  const ends = (name: string): string | undefined => {
    const isEnd = (line: string): boolean =>
      line.startsWith(`${name}: `) && /; (COMMIT|PREPARE TRANSACTION)$/.test(line)
    return lines.find(isEnd)?.slice(name.length + 2)
  }
  return { assent, databases, pools, lines, ends }
}

const VOTE = ['SET CONSTRAINTS ALL IMMEDIATE', 'set role', 'mark', 'PREPARE TRANSACTION'].join('; ')
const DECIDE = ['SET CONSTRAINTS ALL IMMEDIATE', 'set synchronous_commit', 'COMMIT'].join('; ')

describe('without standbys', () => {
  test('nothing is set but whose work it is, and that the decision is durable', async () => {
    const { assent, lines, ends } = await shop()
    const said = async (): Promise<readonly unknown[]> => {
      lines.length = 0
      await assent.transaction(async ({ orders, stock }) => {
        await orders.query(INSERT)
        await stock.query(INSERT)
      })
      expect(lines.join()).not.toMatch(/default_transaction_read_only/)
      return [ends('orders'), ends('stock')]
    }
    // One that was silent for long is asked before others prepare.
    await expect.poll(said).toEqual([VOTE, DECIDE])
  })

  test.each([
    'set local client_min_messages = error',
    'set local synchronous_commit to off',
    'reset client_min_messages',
    `select pg_catalog.set_config('client_min_messages', 'error', true)`,
    `update pg_settings set setting = 'error' where name = 'client_min_messages'`,
    `do $$ begin perform set_config('client_min_messages', 'error', true); end $$`,
    `select 1; /* and */ set local client_min_messages = error`,
  ])('behind %j, warnings are switched on and what is waited for is set', async (text) => {
    const { assent, ends } = await shop()
    await assent.transaction(async ({ orders, stock }) => {
      await orders.query(INSERT)
      await stock.query(INSERT)
      await orders.query(text)
      await stock.query(text)
    })
    const set = 'set client_min_messages; set synchronous_commit'
    expect(ends('orders')).toBe(VOTE.replace('; set role', `; ${set}; set role`))
    expect(ends('stock')).toMatch(new RegExp(`${set}.*; COMMIT$`))
  })

  test('nor is a text trusted that the server reads differently: its tag shows what it set', async () => {
    const { assent, databases, pools, ends } = await shop()
    const [database] = databases
    await database.sql(`alter database ${database.name} set standard_conforming_strings = off`)
    pools.orders.on('error', () => undefined)
    await database.sql(`select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`)
    await expect.poll(() => pools.orders.totalCount).toBe(0)
    const hidden = `select 'a\\''; set local client_min_messages = error; --'`
    await assent.transaction(async ({ orders, stock }) => {
      await orders.query(INSERT)
      await stock.query(INSERT)
      await orders.query(hidden)
    })
    expect(ends('orders')).toMatch(/set client_min_messages/)
  })

  test.each([
    'by Assent’s own user, in a transaction before',
    'by another user of the pool',
    'by another, who gives the connection back before it is answered',
  ])('nor a session in which something was set, %s', async (who) => {
    const { assent, pools, lines, ends } = await shop()
    const text = 'set synchronous_commit = off'
    if (who.includes('gives the connection back')) {
      const client = await pools.orders.connect()
      void client.query(text)
      client.release()
    } else if (who.includes('another')) await pools.orders.query(text)
    else await assent.transaction(({ orders }) => orders.query(text))
    lines.length = 0
    await assent.transaction(async ({ orders, stock }) => {
      await orders.query(INSERT)
      await stock.query(INSERT)
    })
    expect(ends('orders')).toMatch(/set client_min_messages; set synchronous_commit/)
  })

  test('nor in one database: COMMIT is as durable as its owner wants it', async () => {
    const { assent, ends } = await shop()
    await assent.transaction(({ orders }) => orders.query(INSERT))
    expect(ends('orders')).toBe('SET CONSTRAINTS ALL IMMEDIATE; COMMIT')
  })
})

test('in a session where a COMMIT has a name, the transaction that decides is watched', async () => {
  const { assent, pools, lines } = await shop()
  await pools.stock.query({ name: 'mine', text: 'commit' })
  await assent.transaction(async ({ orders, stock }) => {
    await orders.query(INSERT)
    await stock.query(INSERT)
  })
  const begins = (name: string) => lines.find((line) => line.startsWith(`${name}: BEGIN`))
  expect(begins('stock')).toMatch(/; set default_transaction_read_only; mark; /)
  expect(begins('orders')).not.toMatch(/default_transaction_read_only/)
})
