/**
 * What another process does with what was left behind in a transaction over two systems.
 */
import { describe, expect, test } from 'vitest'
import { assentOver, openParticipant } from '../support/pairs.ts'
import type { Kind, Pairing } from '../support/pairs.ts'
import { leaveBehind, open } from '../support/pair-leftover.ts'
import type { Both } from '../support/pair-leftover.ts'

export async function fate({ app, stores }: Pairing<Both>): Promise<unknown> {
  return {
    orders: await stores.orders.count(),
    stock: await stores.stock.count(),
    prepared: await stores.stock.prepared(app),
  }
}

export const COMMITTED = { orders: 1, stock: 1, prepared: [] }
export const ABORTED = { orders: 0, stock: 0, prepared: [] }

export function recoverPair(orders: Kind, stock: Kind): void {
  describe(`a voter on another system: orders on ${orders}, stock on ${stock}`, () => {
    test('is rolled back when its process died before the decision', async () => {
      const { app, stores } = await open(orders, stock)
      const leftover = await leaveBehind(app, stores, 'voted')
      leftover.vanish()
      const pairing = assentOver(app, stores)
      await expect.poll(() => fate(pairing), { timeout: 15_000 }).toEqual(ABORTED)
      expect(await pairing.assent.outcome(leftover.id)).toEqual({ outcome: 'aborted' })
    })

    test('is committed when its process died after the decision', async () => {
      const { app, stores } = await open(orders, stock)
      const leftover = await leaveBehind(app, stores, 'decided')
      leftover.vanish()
      const pairing = assentOver(app, stores)
      await expect.poll(() => fate(pairing), { timeout: 15_000 }).toEqual(COMMITTED)
      expect(await pairing.assent.outcome(leftover.id)).toEqual({ outcome: 'committed' })
    })

    test('is left alone while its process may still decide (fault 63)', async () => {
      const { app, stores } = await open(orders, stock)
      const leftover = await leaveBehind(app, stores, 'voted')
      const pairing = assentOver(app, stores)
      for (let round = 0; round < 2; round += 1) {
        // Other files leave theirs on the same server.
        const left = (await pairing.assent.recover()).filter(({ gid }) => gid.includes(app))
        expect(left).toMatchObject([{ reason: 'running' }])
      }
      expect(await stores.stock.prepared(app)).toHaveLength(1)
      expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
      await expect.poll(() => fate(pairing), { timeout: 15_000 }).toEqual(COMMITTED)
    })

    test('is ended as decided although the connection that prepared it is still open', async () => {
      const { app, stores } = await open(orders, stock)
      const { voter, gid } = await leaveBehind(app, stores, 'decided')
      const pairing = assentOver(app, stores)
      await expect.poll(() => fate(pairing), { timeout: 15_000 }).toEqual(COMMITTED)
      // Its process wakes up: whatever it hears, the branch has ended, and it is not told otherwise.
      expect((await voter.end('commit', gid)).answer).not.toBe('done')
      expect(await fate(pairing)).toEqual(COMMITTED)
    })

    test('by many processes at once ends the same (fault 62)', async () => {
      const { app, stores } = await open(orders, stock)
      const leftover = await leaveBehind(app, stores, 'decided')
      leftover.vanish()
      const all = Array.from({ length: 4 }, () => assentOver(app, stores))
      await Promise.all(all.map(({ assent }) => assent.recover()))
      const [first] = all
      if (first === undefined) throw new Error('none')
      await expect.poll(() => fate(first), { timeout: 15_000 }).toEqual(COMMITTED)
      const alarms = all
        .flatMap(({ reports }) => reports)
        .filter((each) => /lost|van/.test(each.type))
      expect(alarms).toEqual([])
    })

    test('whose vote was lost is an alarm, and never a success', async () => {
      const { app, stores } = await open(orders, stock)
      const leftover = await leaveBehind(app, stores, 'decided')
      const found = assentOver(app, stores)
      await found.assent.close()
      // A hand rolls it back, as a restore of this database would lose it.
      expect(await leftover.voter.end('abort', leftover.gid)).toEqual({ answer: 'done' })
      const other = openParticipant(app, 'stock', stores.stock)
      expect(await other.endPrepared(leftover.gid, 'commit')).toEqual({ answer: 'missing' })
      expect(await other.ask(leftover.gid)).toMatchObject({ answer: 'absent' })
    })
  })
}
