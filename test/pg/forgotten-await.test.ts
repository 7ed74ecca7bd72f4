import { describe, expect, test } from 'vitest'
import { AssentError } from 'assent'
import { openShop } from '../support/assent.ts'

/** Lets `turns` microtasks pass, as a chain of promises in somebody's code would. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve()
}

describe('a statement that nobody awaited', () => {
  test('is in the transaction, or aborts it, or comes after COMMIT: never accepted and missing', async () => {
    const { assent, orders, stock } = await openShop()
    const seen = new Set<string>()
    for (let count = 0; count < 40; count += 1) {
      const before = [await orders.count(), await stock.count()]
      let late: Promise<string> | undefined
      const told = await assent
        .transaction(async (db) => {
          await db.orders.query('insert into t values (1)')
          late = turns(count)
            .then(() => db.stock.query('insert into t values (1)'))
            .then(
              () => 'accepted',
              (error: unknown) => (error as AssentError).code,
            )
        })
        .then(
          () => 'committed',
          (error: unknown) => {
            expect(error).toMatchObject({ code: 'ASSENT_BRANCH_ENDED', outcome: 'aborted' })
            return 'aborted'
          },
        )
      const word = await late
      const after = [await orders.count(), await stock.count()]
      const written = after.map((rows, at) => rows - (before[at] ?? 0))
      seen.add(`${told}, ${word ?? ''}`)
      if (told === 'aborted') expect(written).toEqual([0, 0])
      else expect(written).toEqual(word === 'accepted' ? [1, 1] : [1, 0])
    }
    expect([...seen]).toContain('committed, accepted')
    const { pool } = stock
    await expect.poll(() => pool.idleCount).toBe(pool.totalCount)
  })

  test('whose chain goes on after the function has returned aborts what came before it', async () => {
    const { assent, orders, stock } = await openShop()
    let chain: Promise<unknown> | undefined
    const error = await assent
      .transaction(async (db) => {
        await db.orders.query('insert into t values (1)')
        await db.stock.query('insert into t values (1)')
        chain = (async () => {
          await db.stock.query('insert into t values (2)')
          await new Promise((resolve) => setImmediate(resolve))
          await db.orders.query('insert into t values (2)')
        })().catch(() => undefined)
      })
      .catch((thrown: unknown) => thrown)
    await chain
    const rows = [await orders.count(), await stock.count()]
    if (error === undefined) expect(rows[0]).toBe(rows[1])
    else expect({ error, rows }).toMatchObject({ error: { outcome: 'aborted' }, rows: [0, 0] })
  })
})
