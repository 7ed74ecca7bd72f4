/**
 * A database fails over to a real streaming replica: what it had acknowledged is there, or is not.
 */
import { expect, test } from 'vitest'
import type { Verdict } from '../../harness/wire-proxy.ts'
import { openOver, refusal, writeBoth } from '../support/assent.ts'
import type { Databases } from '../support/assent.ts'
import { age, cleanerOf, marksOf, supersede } from '../support/cleaner.ts'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import { ReplicatedServer } from '../support/replicated-server.ts'
import { timelineOf } from '../support/server-copy.ts'

/** Two databases, one of them replicated, which have served a transaction. */
async function databasesWith(
  replicated: 'orders' | 'stock',
  mode: 'synchronous' | 'asynchronous',
): Promise<Databases & { readonly server: ReplicatedServer }> {
  const server = await ReplicatedServer.start(mode)
  const [mine, other] = await Promise.all([server.database(), freshDatabase('first')])
  const databases =
    replicated === 'orders' ? { orders: mine, stock: other } : { orders: other, stock: mine }
  const warmUp = openOver(databases)
  await writeBoth(warmUp)
  await warmUp.assent.close()
  for (const each of [databases.orders, databases.stock]) await each.sql('truncate t')
  await server.caughtUp()
  return { ...databases, server }
}

const countsOf = async ({ orders, stock }: Databases): Promise<readonly number[]> => [
  await orders.count(),
  await stock.count(),
]

test('a voter’s synchronous replica has the branch, and it ends as decided (fault 90)', async () => {
  const databases = await databasesWith('stock', 'synchronous')
  const decided = await leaveBehind(databases, 'decided')
  const voted = await leaveBehind(databases, 'voted')
  await databases.server.failOver()
  for (const leftover of [decided, voted]) leftover.vanish()
  expect(await databases.stock.prepared()).toHaveLength(2)
  const { assent, reports } = openOver(databases)
  await expect.poll(() => databases.stock.prepared()).toEqual([])
  expect(await countsOf(databases)).toEqual([1, 1])
  expect(await assent.outcome(decided.id)).toEqual({ outcome: 'committed' })
  expect(await assent.outcome(voted.id)).toEqual({ outcome: 'aborted' })
  expect(reports.every(({ type }) => type === 'recovered')).toBe(true)
})

test('a voter’s asynchronous replica lacks the branch: a lost vote, told at once (fault 91)', async () => {
  const databases = await databasesWith('stock', 'asynchronous')
  const { server, stock } = databases
  const shop = openOver(databases)
  server.separate()
  server.name.hooks.onRequest = async ({ name }): Promise<Verdict> => {
    if (name !== 'apply') return 'pass'
    server.name.hooks.onRequest = () => 'pass'
    await server.failOver()
    return 'drop-connection'
  }
  const error = await refusal(writeBoth(shop), 'ASSENT_LOST_VOTE', 'committed')
  expect(error.message).toMatch(/stock lost the work that it had promised to keep/)
  const alarms = shop.reports.filter(({ type }) => type !== 'scan-failed')
  expect(alarms).toMatchObject([{ type: 'lost-vote', participant: 'stock' }])
  expect(await countsOf(databases)).toEqual([1, 0])
  expect(await stock.prepared()).toEqual([])
})

test('a lost vote is found later too, and nothing of it is deleted (fault 91)', async () => {
  const databases = await databasesWith('stock', 'asynchronous')
  const { server } = databases
  server.separate()
  const leftover = await leaveBehind(databases, 'decided')
  await server.failOver()
  leftover.vanish()
  const cleaner = cleanerOf(databases)
  await supersede(databases, cleaner)
  await cleaner.pass()
  await cleaner.pass()
  expect(cleaner.reports).toMatchObject([{ type: 'lost-vote', participant: 'stock' }])
  // The transaction before it was whole: of that one, nothing is left.
  expect(await marksOf(databases)).toEqual({ orders: ['commit'], stock: [] })
  const { assent } = openOver(databases)
  expect(await assent.outcome(leftover.id)).toEqual({ outcome: 'committed' })
})

test('the register’s asynchronous replica lacks decisions: held, and reported (fault 92)', async () => {
  const databases = await databasesWith('orders', 'asynchronous')
  const { server, stock } = databases
  const before = openOver(databases)
  server.separate()
  await writeBoth(before)
  await before.assent.close()
  const leftover = await leaveBehind(databases, 'decided')
  await server.failOver()
  leftover.vanish()
  expect(await countsOf(databases)).toEqual([0, 1])

  const shop = openOver(databases)
  await expect
    .poll(() => shop.assent.recover())
    .toMatchObject([{ participant: 'stock', reason: 'held', register: 'orders' }])
  expect(await shop.assent.outcome(leftover.id)).toEqual({ outcome: 'unknown', reason: 'held' })
  await age(databases)
  const cleaner = cleanerOf(databases)
  await cleaner.pass('stock')
  expect(cleaner.reports).toMatchObject([{ type: 'lost-decision', participant: 'stock' }])

  // Life goes on, and what is in doubt stays as it is.
  await writeBoth(shop)
  expect(await shop.assent.recover()).toMatchObject([{ reason: 'held' }])
  expect(await stock.prepared()).toHaveLength(1)
  expect(await countsOf(databases)).toEqual([1, 2])
})

test('what was undecided at a promotion is held, until it is said that nothing was lost', async () => {
  const databases = await databasesWith('orders', 'synchronous')
  const { server, stock } = databases
  const [voted, decided] = [
    await leaveBehind(databases, 'voted'),
    await leaveBehind(databases, 'decided'),
  ]
  await server.failOver()
  expect(await timelineOf(server.replica)).toBe(2)
  for (const leftover of [voted, decided]) leftover.vanish()
  {
    const { assent, reports } = openOver(databases)
    await expect.poll(() => assent.recover()).toMatchObject([{ reason: 'held' }])
    // Whatever was remembered is obeyed.
    await expect.poll(() => stock.count()).toBe(1)
    expect(await assent.outcome(voted.id)).toEqual({ outcome: 'unknown', reason: 'held' })
    await expect.poll(() => reports).toContainEqual(expect.objectContaining({ type: 'in-doubt' }))
    await assent.close()
  }
  const lossless = openOver(databases, { failover: 'lossless' })
  await expect.poll(() => stock.prepared()).toEqual([])
  expect(await lossless.assent.outcome(voted.id)).toEqual({ outcome: 'aborted' })
  expect(await lossless.assent.outcome(decided.id)).toEqual({ outcome: 'committed' })
  await writeBoth(lossless)
  expect(await countsOf(databases)).toEqual([2, 2])
})
