/**
 * Who recovers meets a claim that is not committed yet, under every isolation level that a database
 * may have made its default, and at the very moment at which it is committed.
 */
import { expect, test } from 'vitest'
import { openShop } from '../support/assent.ts'
import type { TestDatabase } from '../support/databases.ts'
import { leaveBehind, openParticipant } from '../support/leftover.ts'

test.each(['read committed', 'repeatable read', 'serializable'])(
  'an uncommitted claim is waited for, and found afterwards, under %s (fault 64)',
  async (level) => {
    const shop = await openShop()
    for (const database of [shop.orders, shop.stock]) {
      await database.sql(
        `alter database ${database.name} set default_transaction_isolation = '${level}'`,
      )
    }
    const leftover = await leaveBehind(shop, 'voted')
    expect(await shop.assent.recover()).toMatchObject([{ reason: 'running' }])
    expect(await shop.stock.prepared()).toHaveLength(1)
    expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
    await expect.poll(() => shop.stock.prepared()).toEqual([])
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([1, 1])
    leftover.vanish()
  },
)

test('who waits while the claim is committed finds it, and never nothing (fault 65)', async () => {
  const shop = await openShop()
  const seen = new Set<string>()
  // An asker of its own, so that its question is under way when COMMIT is sent.
  const orders = openParticipant(shop, 'orders')
  // In even rounds COMMIT races with the question; in odd ones the question is seen waiting first,
  // which a busy machine may miss, since it waits for a tenth of a second only: then once more.
  for (let round = 0; round < 10 || !seen.has('waited: found'); round += 1) {
    const leftover = await leaveBehind(shop, 'voted')
    const asking = orders.ask(leftover.gid)
    const waited = round % 2 === 1 && (await isSeenWaiting(shop.orders, asking))
    expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
    seen.add(`${waited ? 'waited' : 'did not wait'}: ${(await asking).answer}`)
    expect(await orders.ask(leftover.gid)).toEqual({ answer: 'found', decision: 'commit' })
    leftover.vanish()
  }
  for (const each of seen) expect(each).toMatch(/: (found|waits)$/)
})

/** Whether a session waits for a lock before `asking` has its answer. */
async function isSeenWaiting(database: TestDatabase, asking: Promise<unknown>): Promise<boolean> {
  const answered = asking.then(() => 'answered' as const)
  for (;;) {
    const waiting = await Promise.race([
      answered,
      database.sql(`select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`),
    ])
    if (waiting === 'answered') return false
    if (waiting.length > 0) return true
  }
}
