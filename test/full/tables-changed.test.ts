/**
 * Assent's tables are dropped, changed or of another version, at each moment of a transaction
 * (fault 100). Either it works, or a clear error says so and nothing is half done.
 */
import { describe, expect, test } from 'vitest'
import { openOver, openShop, refusal, rejection, writeBoth } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'
import { leaveBehind } from '../support/leftover.ts'

const DROP = 'drop schema assent cascade'

const countsOf = async ({ orders, stock }: Shop): Promise<readonly number[]> => [
  await orders.count(),
  await stock.count(),
]

async function nothingIsLeft({ orders, stock }: Shop): Promise<void> {
  expect([await orders.prepared(), await stock.prepared()]).toEqual([[], []])
  const open = `select pid from pg_stat_activity
    where datname = current_database() and state like 'idle in transaction%'`
  for (const each of [orders, stock]) await expect.poll(() => each.sql(open)).toEqual([])
}

describe.each(['orders', 'stock'] as const)('the tables in %s (fault 100)', (where) => {
  test('are missing at first use: they are made', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop[where].sql(DROP)
    await writeBoth(openOver(shop))
    expect(await countsOf(shop)).toEqual([2, 2])
  })

  test('are dropped during the work: aborted, and made again for the next one', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    const error = await refusal(
      shop.assent.transaction(
        async (db) => {
          for (const name of [where, where === 'orders' ? 'stock' : 'orders'] as const) {
            await db[name].query('insert into t values (1)')
          }
          await shop[where].sql(DROP)
        },
        { decider: 'orders' },
      ),
      'ASSENT_SCHEMA_MISSING',
    )
    expect(error.retryable).toBe(true)
    expect(await countsOf(shop)).toEqual([1, 1])
    await nothingIsLeft(shop)
    await writeBoth(shop)
    expect(await countsOf(shop)).toEqual([2, 2])
  })

  test('can’t be dropped between mark and end: whoever tries waits', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    const refused = await rejection(shop[where].sql(`set lock_timeout = 100; ${DROP}`))
    expect(refused).toMatchObject({ code: '55P03' })
    leftover.vanish()
    await expect.poll(() => shop.stock.prepared()).toEqual([])
    expect(await countsOf(shop)).toEqual([0, 0])
  })

  test('got a column more: it works', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop[where].sql('alter table assent.mark add column note text')
    await shop[where].sql('alter table assent.epoch add column note text')
    await shop[where].sql('alter table assent.database add column note text')
    await writeBoth(shop)
    await writeBoth(openOver(shop))
    const leftover = await leaveBehind(shop, 'voted')
    leftover.vanish()
    await expect.poll(() => shop.stock.prepared()).toEqual([])
    expect(await countsOf(shop)).toEqual([3, 3])
  })

  test('got a column that must be filled: aborted, with the database’s own words', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop[where].sql('alter table assent.mark add column note text')
    await shop[where].sql("update assent.mark set note = ''")
    await shop[where].sql('alter table assent.mark alter column note set not null')
    const error = await refusal(writeBoth(shop), 'ASSENT_REFUSED')
    expect(String(error.cause)).toMatch(/null value in column "note"/)
    expect(await countsOf(shop)).toEqual([1, 1])
    await nothingIsLeft(shop)
  })

  test('became a newer version’s: who runs goes on, who starts is refused', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop[where].sql('update assent.database set version = 2')
    await writeBoth(shop)
    const next = openOver(shop)
    const error = await refusal(writeBoth(next), 'ASSENT_SCHEMA_VERSION')
    expect(error.message).toMatch(/version 2.*needs 1/)
    expect(await countsOf(shop)).toEqual([2, 2])
    await nothingIsLeft(shop)
  })
})

test('the decision’s table is dropped with it: what is still prepared is held (fault 100)', async () => {
  const shop = await openShop()
  await shop.assent.close()
  const leftover = await leaveBehind(shop, 'decided')
  leftover.vanish()
  await shop.orders.sql(DROP)
  const next = openOver(shop)
  await expect.poll(() => next.assent.recover()).toMatchObject([{ reason: 'register-unclear' }])
  await next.assent.migrate()
  await expect.poll(() => next.assent.recover()).toMatchObject([{ reason: 'held' }])
  expect(await next.assent.outcome(leftover.id)).toEqual({ outcome: 'unknown', reason: 'held' })
  await writeBoth(next)
  expect(await shop.stock.prepared()).toHaveLength(1)
  expect(await countsOf(shop)).toEqual([2, 1])
})

test('the decision can’t be read while a column must be filled: in doubt until it may be empty (fault 100)', async () => {
  const shop = await openShop()
  await shop.assent.close()
  const leftover = await leaveBehind(shop, 'decided')
  leftover.vanish()
  await shop.orders.sql("alter table assent.mark add column note text not null default 'old'")
  await shop.orders.sql('alter table assent.mark alter column note drop default')
  const next = openOver(shop)
  await expect.poll(() => next.assent.recover()).toMatchObject([{ reason: 'register-unclear' }])
  expect(await shop.stock.prepared()).toHaveLength(1)
  await shop.orders.sql('alter table assent.mark alter column note drop not null')
  await expect.poll(() => shop.stock.prepared()).toEqual([])
  expect(await countsOf(shop)).toEqual([1, 1])
})

test('a receipt’s table is dropped while its branch is in doubt: the drop waits (fault 100)', async () => {
  const shop = await openShop()
  await shop.assent.close()
  const leftover = await leaveBehind(shop, 'decided')
  leftover.vanish()
  const dropped = shop.stock.sql(DROP)
  const waits = `select wait_event_type as waits_for from pg_stat_activity
    where datname = current_database() and query = '${DROP}'`
  await expect.poll(() => shop.stock.sql(waits)).toEqual([{ waits_for: 'Lock' }])
  const next = openOver(shop)
  await dropped
  expect(await shop.stock.prepared()).toEqual([])
  expect(await countsOf(shop)).toEqual([1, 1])
  await writeBoth(next)
  expect(await countsOf(shop)).toEqual([2, 2])
})
