/**
 * A replica is promoted, and the old primary is still there and writable (fault 93). Two registers of
 * one name: each remembers what was decided in its own time, and nothing of the other's.
 */
import { describe, expect, test } from 'vitest'
import { openOver, refusal, writeBoth } from '../support/assent.ts'
import type { Databases, Shop } from '../support/assent.ts'
import { age, cleanerOf } from '../support/cleaner.ts'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind, openParticipant } from '../support/leftover.ts'
import type { Leftover } from '../support/leftover.ts'
import { ReplicatedServer } from '../support/replicated-server.ts'

interface Sides {
  readonly server: ReplicatedServer
  /** `orders` as the old primary has it. */
  readonly old: Databases
  /** `orders` by its name: on the primary that is meant. */
  readonly named: Databases
}

async function twoSides(mode: 'synchronous' | 'asynchronous'): Promise<Sides> {
  const server = await ReplicatedServer.start(mode)
  const [orders, stock] = await Promise.all([server.database(), freshDatabase('first')])
  const named = { orders, stock }
  const old = { orders: server.at(server.primary, orders), stock }
  await inOneProcess(named, ({ assent }) => assent.migrate())
  // Both sides list it: the promoted server has to see that it is not of its own time.
  await openParticipant(named, 'orders').currentEpoch()
  await server.caughtUp()
  return { server, old, named }
}

async function inOneProcess<T>(databases: Databases, work: (shop: Shop) => Promise<T>): Promise<T> {
  const shop = openOver(databases, {}, { retry: { attempts: 2, firstMs: 1 } })
  try {
    return await work(shop)
  } finally {
    await shop.assent.close()
  }
}

interface Pair {
  readonly decided: Leftover
  readonly voted: Leftover
}

async function leavePair(databases: Databases): Promise<Pair> {
  const decided = await leaveBehind(databases, 'decided')
  const voted = await leaveBehind(databases, 'voted')
  for (const leftover of [decided, voted]) leftover.vanish()
  return { decided, voted }
}

/** What is left in doubt once nothing more ends. */
const leftOf = async ({ assent }: Shop): Promise<readonly unknown[]> =>
  (await assent.recover()).map(({ transactionId, reason }) => `${transactionId} ${reason}`).sort()

const held = (...leftovers: readonly Leftover[]): readonly string[] =>
  leftovers.map(({ id }) => `${id} held`).sort()

describe('by default (fault 93)', () => {
  test('a branch ends only as the register of its own time says, whoever looks at it', async () => {
    const { server, old, named } = await twoSides('asynchronous')
    await server.failOver('left alive')
    const ofOld = await leavePair(old)
    // Before the promoted server has an epoch of its own, it still lists that of the old one.
    await inOneProcess(named, async (shop) => {
      await expect.poll(() => leftOf(shop)).toEqual(held(ofOld.decided, ofOld.voted))
    })

    const ofNew = await leavePair(named)
    await inOneProcess(named, async (shop) => {
      await expect.poll(() => leftOf(shop)).toEqual(held(ofOld.decided, ofOld.voted))
      expect(await named.stock.count()).toBe(1)
      expect(await shop.assent.outcome(ofNew.decided.id)).toEqual({ outcome: 'committed' })
      expect(await shop.assent.outcome(ofNew.voted.id)).toEqual({ outcome: 'aborted' })
      for (const { id } of [ofOld.decided, ofOld.voted]) {
        expect(await shop.assent.outcome(id)).toEqual({ outcome: 'unknown', reason: 'held' })
      }
    })
    const later = await leavePair(named)
    await inOneProcess(old, async (shop) => {
      await expect.poll(() => leftOf(shop)).toEqual(held(later.decided, later.voted))
      expect(await named.stock.count()).toBe(2)
      expect(await shop.assent.outcome(ofOld.decided.id)).toEqual({ outcome: 'committed' })
      expect(await shop.assent.outcome(ofOld.voted.id)).toEqual({ outcome: 'aborted' })
    })
    await inOneProcess(named, async (shop) => {
      await expect.poll(() => leftOf(shop)).toEqual([])
      expect(await named.stock.count()).toBe(3)
    })
  })

  test('processes on both sides, writing and recovering at once, end nothing of each other’s', async () => {
    const { server, old, named } = await twoSides('asynchronous')
    await server.failOver('left alive')
    const [ofOld, ofNew] = await inOneProcess(old, (oldShop) =>
      inOneProcess(named, async (newShop) => {
        // The old primary can't be told from one that was never replaced: it accepts.
        await Promise.all([writeBoth(oldShop), writeBoth(newShop)])
        const pairs = [await leavePair(old), await leavePair(named)] as const
        await Promise.all([oldShop, newShop].map(({ assent }) => assent.recover()))
        await expect.poll(() => named.stock.prepared()).toEqual([])
        return pairs
      }),
    )
    expect(await named.stock.count()).toBe(4)
    expect([await old.orders.count(), await named.orders.count()]).toEqual([2, 2])
    const marks = (await named.stock.sql('select txid from assent.mark')).map(({ txid }) => txid)
    for (const { decided, voted } of [ofOld, ofNew]) {
      expect(marks).toContain(decided.gid.txid)
      expect(marks).not.toContain(voted.gid.txid)
    }
    // The old side's two commits are not in the database that goes on: that is found and reported.
    await age(named)
    const cleaner = cleanerOf(named)
    await cleaner.pass('stock')
    const lost = { type: 'lost-decision', participant: 'stock' }
    expect(cleaner.reports).toMatchObject([lost, lost])
  })

  test('a process that is led from one to the other is refused, and can run again', async () => {
    const { server, named } = await twoSides('asynchronous')
    const shop = openOver(named)
    await writeBoth(shop)
    await server.caughtUp()
    await server.failOver('left alive')
    const error = await refusal(writeBoth(shop, 'last'), 'ASSENT_STALE_EPOCH')
    expect(error.retryable).toBe(true)
    await writeBoth(shop)
    await server.leadTo(server.primary)
    await refusal(writeBoth(shop, 'last'), 'ASSENT_STALE_EPOCH')
    expect(await named.stock.count()).toBe(2)
  })
})

describe('with failover: lossless (fault 93)', () => {
  /** Its owner is on the old primary and lives; on the new one, it was rolled back. */
  async function rolledBackUnderItsOwner(): Promise<Sides & { readonly leftover: Leftover }> {
    const sides = await twoSides('synchronous')
    const { server, old, named } = sides
    const leftover = await leaveBehind(old, 'voted')
    await server.failOver('left alive')
    openOver(named, { failover: 'lossless' })
    await expect.poll(() => named.stock.prepared()).toEqual([])
    expect(await named.stock.count()).toBe(0)
    return { ...sides, leftover }
  }

  test('as long as the old primary waits for its replica, nobody is told that it committed', async () => {
    const { server, old, leftover } = await rolledBackUnderItsOwner()
    const committing = leftover.decider.commit()
    await expect.poll(() => server.isWaitedFor()).toBe(true)
    expect(await server.cancelWaits()).toBe(1)
    expect(await committing).toMatchObject({ answer: 'unknown' })
    const { assent } = openOver(old, { failover: 'lossless' })
    expect(await assent.outcome(leftover.id)).toMatchObject({ outcome: 'unknown' })
    leftover.vanish()
  })

  test('an old primary that waits for nobody, and is not fenced, can’t be caught: split', async () => {
    const { server, leftover, old, named } = await rolledBackUnderItsOwner()
    await server.stopWaitingForReplica()
    expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
    expect([await old.orders.count(), await named.orders.count()]).toEqual([1, 0])
    expect(await named.stock.count()).toBe(0)
    leftover.vanish()
  })
})
