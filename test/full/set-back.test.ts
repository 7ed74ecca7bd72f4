/**
 * A database is set back: to a snapshot of its disk, which nobody can tell from what it was, or to a
 * point in time, which gives it a new timeline.
 */
import { describe, expect, test } from 'vitest'
import type { PostgresServer } from '../../harness/postgres-server.ts'
import { openOver, writeBoth } from '../support/assent.ts'
import type { Databases, Shop } from '../support/assent.ts'
import { age, cleanerOf, marksOf, supersede } from '../support/cleaner.ts'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import { ownDatabase, ownServer } from '../support/own-server.ts'
import { ask, takeSnapshot, timelineOf } from '../support/server-copy.ts'
import type { Snapshot } from '../support/server-copy.ts'

/** Two databases; one of them is on a server of its own, which will be set back. */
async function databasesWith(
  own: 'orders' | 'stock',
): Promise<Databases & { readonly server: PostgresServer }> {
  const server = await ownServer(own)
  const [mine, other] = await Promise.all([ownDatabase(server), freshDatabase('first')])
  const databases =
    own === 'orders' ? { orders: mine, stock: other } : { orders: other, stock: mine }
  await inOneProcess(databases, ({ assent }) => assent.migrate())
  return { ...databases, server }
}

/** A process that has ended when this returns. */
async function inOneProcess<T>(databases: Databases, work: (shop: Shop) => Promise<T>): Promise<T> {
  const shop = openOver(databases)
  try {
    return await work(shop)
  } finally {
    await shop.assent.close()
  }
}

async function leave(databases: Databases, step: 'voted' | 'decided'): Promise<string> {
  const leftover = await leaveBehind(databases, step)
  leftover.vanish()
  return leftover.id
}

const endAll = (databases: Databases): Promise<void> =>
  inOneProcess(databases, async ({ assent }) => {
    await assent.recover()
    await expect.poll(() => databases.stock.prepared()).toEqual([])
  })

const countsOf = async ({ orders, stock }: Databases): Promise<readonly number[]> => [
  await orders.count(),
  await stock.count(),
]

const inDoubtOf = async ({ assent }: Shop): Promise<readonly unknown[]> =>
  (await assent.recover()).map(({ transactionId, reason }) => [transactionId, reason])

describe('a voter is set back', () => {
  const ways: readonly [string, (server: PostgresServer, snapshot: Snapshot) => Promise<void>][] = [
    ['to a snapshot', (_server, snapshot) => snapshot.putBack()],
    ['to a point in time', (_server, snapshot) => snapshot.recoverTo('before')],
  ]

  test.each(ways)(
    '%s: what comes back ends as before, what is lost is reported (fault 94)',
    async (_way, setBack) => {
      const databases = await databasesWith('stock')
      const { server } = databases
      const decided = await leave(databases, 'decided')
      const voted = await leave(databases, 'voted')
      const snapshot = await takeSnapshot(server)
      await ask(server, `select pg_create_restore_point('before')`)
      await endAll(databases)
      await inOneProcess(databases, writeBoth)
      expect(await countsOf(databases)).toEqual([2, 2])

      await setBack(server, snapshot)
      expect(await databases.stock.prepared()).toHaveLength(2)
      await endAll(databases)
      expect(await countsOf(databases)).toEqual([2, 1])
      const { assent } = openOver(databases)
      expect(await assent.outcome(decided)).toEqual({ outcome: 'committed' })
      expect(await assent.outcome(voted)).toEqual({ outcome: 'aborted' })

      const cleaner = cleanerOf(databases)
      await supersede(databases, cleaner)
      await cleaner.pass()
      expect(cleaner.reports).toMatchObject([{ type: 'lost-vote', participant: 'stock' }])
      expect(await marksOf(databases)).toEqual({ orders: ['commit'], stock: [] })
    },
  )

  test('a branch comes back that is older than the register’s memory: held (fault 72)', async () => {
    const databases = await databasesWith('stock')
    const ids = [await leave(databases, 'decided'), await leave(databases, 'voted')]
    const snapshot = await takeSnapshot(databases.server)
    await endAll(databases)
    const cleaner = cleanerOf(databases)
    await supersede(databases, cleaner)
    await cleaner.pass()
    expect(await marksOf(databases)).toEqual({ orders: [], stock: [] })

    await snapshot.putBack()
    const shop = openOver(databases)
    const held = ids.map((id) => [id, 'held'])
    for (let look = 0; look < 3; look += 1) {
      await expect.poll(() => inDoubtOf(shop)).toEqual(expect.arrayContaining(held))
    }
    expect(await databases.stock.prepared()).toHaveLength(2)
    await writeBoth(shop)
    expect(await databases.stock.prepared()).toHaveLength(2)
    expect(await countsOf(databases)).toEqual([2, 1])
  })
})

describe('the register is set back', () => {
  /** One transaction before the moment to which it is set back; after it, all kinds. */
  async function history() {
    const databases = await databasesWith('orders')
    const { server } = databases
    await inOneProcess(databases, writeBoth)
    const sql = await inOneProcess(databases, ({ assent }) =>
      assent.restored('orders', { print: true }),
    )
    const snapshot = await takeSnapshot(server)
    await ask(server, `select pg_create_restore_point('before')`)
    await inOneProcess(databases, writeBoth)
    const [decided, voted] = [
      await leave(databases, 'decided'),
      await leave(databases, 'voted'),
    ] as const
    expect(await countsOf(databases)).toEqual([3, 2])
    return { databases, snapshot, sql, decided, voted }
  }
  type History = Awaited<ReturnType<typeof history>>

  const ways: readonly [string, number, (history: History) => Promise<void>][] = [
    ['to a point in time', 2, ({ snapshot }) => snapshot.recoverTo('before')],
    [
      'to a snapshot, and that is said before anybody reaches it',
      1,
      async ({ databases, snapshot, sql }) => {
        await snapshot.putBack()
        await databases.orders.sql(sql)
      },
    ],
  ]

  test.each(ways)('%s: held, and reported (fault 95)', async (_way, timeline, setBack) => {
    const past = await history()
    const { databases, decided, voted } = past
    await setBack(past)
    expect(await timelineOf(databases.server)).toBe(timeline)
    const shop = openOver(databases)
    const held = [decided, voted].map((id) => [id, 'held'])
    await expect.poll(() => inDoubtOf(shop)).toEqual(expect.arrayContaining(held))
    expect(await lostDecisionsOf(databases)).toHaveLength(1)
    await writeBoth(shop)
    expect(await inDoubtOf(shop)).toEqual(expect.arrayContaining(held))
    expect(await shop.assent.outcome(decided)).toEqual({ outcome: 'unknown', reason: 'held' })
    expect(await countsOf(databases)).toEqual([2, 3])
  })

  test('to a snapshot, and nobody says so: what it has lost is taken for never decided (fault 95)', async () => {
    const { databases, snapshot, decided, voted } = await history()
    await snapshot.putBack()
    expect(await timelineOf(databases.server)).toBe(1)
    // Its epoch is listed, and it looks like itself. So this commit, which was acknowledged, is undone.
    await endAll(databases)
    const { assent } = openOver(databases)
    for (const id of [decided, voted]) {
      expect(await assent.outcome(id)).toEqual({ outcome: 'aborted' })
    }
    // Only where a receipt is left does it show.
    expect(await countsOf(databases)).toEqual([1, 2])
    expect(await lostDecisionsOf(databases)).toHaveLength(1)
  })

  async function lostDecisionsOf(databases: Databases): Promise<readonly unknown[]> {
    await age(databases)
    const cleaner = cleanerOf(databases)
    await cleaner.pass('stock')
    expect(cleaner.reports.every(({ type }) => type === 'lost-decision')).toBe(true)
    return cleaner.reports
  }
})
