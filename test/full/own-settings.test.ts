/**
 * What Assent has in a user's transaction is its own: the time-out that frees it, and the cursor that proves it.
 */
import { expect, test } from 'vitest'
import { refusal } from '../support/assent.ts'
import { observed } from '../support/observed.ts'

const INSERT = 'insert into t values (1)'

test.each(['set local', 'select set_config', 'reset all'] as const)(
  'the idle time-out is Assent’s own: %s is refused',
  async (how) => {
    const { assent, counts } = await observed()
    const text = {
      'set local': 'set local idle_in_transaction_session_timeout = 0',
      'select set_config': "select set_config('idle_in_transaction_session_timeout', '0', true)",
      'reset all': 'reset all',
    }[how]
    const work = assent.transaction(async ({ orders }) => {
      await orders.query(INSERT)
      await orders.query(text)
    })
    const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL')
    expect(error.message).toMatch(/timeoutMs instead/)
    expect(await counts()).toEqual([0, 0, 0])
  },
)

test('what proves the transaction can’t be closed: CLOSE ALL is refused', async () => {
  const { assent, counts } = await observed()
  const work = assent.transaction(async ({ orders }) => {
    await orders.query(INSERT)
    await orders.query('declare mine cursor for select 1')
    await orders.query('close /* each */ all')
  })
  const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL')
  expect(error.message).toMatch(/Close your cursors by their names/)
  expect(await counts()).toEqual([0, 0, 0])
})

test.each([
  ['the only database', ['orders'], [0, 0, 0]],
  ['the one that decides', ['stock', 'orders'], [0, 0, 0]],
  ['one that prepares', ['orders', 'stock'], [0, 0, 0]],
] as const)(
  'where a function closes it in %s, nothing is committed',
  async (_where, used, kept) => {
    const { assent, databases, counts } = await observed()
    await databases.orders.sql(`create function close_all() returns void language plpgsql as
    $$ begin execute 'close all'; end $$`)
    const work = assent.transaction(async (db) => {
      for (const name of used) await db[name].query(INSERT)
      await db.orders.query('select close_all()')
    })
    const error = await refusal(work, 'ASSENT_TRANSACTION_CONTROL', 'unknown')
    expect(error.message).toMatch(/closed all of its cursors/)
    expect(await counts()).toEqual(kept)
    expect(await databases.stock.prepared()).toEqual([])
  },
)

test('cursors, savepoints and what is deallocated leave it alone', async () => {
  const { assent, counts } = await observed()
  await assent.transaction(async ({ orders, stock }) => {
    for (const handle of [stock, orders]) {
      await handle.query(INSERT)
      await handle.query('declare mine cursor for select 1')
      await handle.query('savepoint a')
      await handle.query('declare another cursor for select 1')
      await handle.query('rollback to a')
      await handle.query('close mine')
      await handle.query('deallocate all')
      await handle.query('discard plans')
    }
  })
  expect(await counts()).toEqual([1, 1, 0])
})
