/**
 * Many processes recover the same branches at once: each is ended once, and nobody ends it otherwise.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAssent } from 'assent'
import type { Report } from 'assent'
import { pg as participant } from 'assent/pg'
import type { Shop } from '../support/assent.ts'
import { leaveBehind } from '../support/leftover.ts'
import { ownDatabase, ownServer } from '../support/own-server.ts'

describe.each([2, 50])('%i processes at once (fault 62)', (count) => {
  test.each([
    ['voted', 'aborted', 0],
    ['decided', 'committed', 4],
  ] as const)('find branches %s: %s', async (step, outcome, rows) => {
    // Fifty processes take more connections than the other tests could spare.
    const settings = { max_connections: '600' }
    const [orders, stock] = await Promise.all(
      ['orders', 'stock'].map(async (name) =>
        ownDatabase(await ownServer(`many-${name}`, settings)),
      ),
    )
    const shop = { orders, stock } as unknown as Shop
    const leftovers = [
      await leaveBehind(shop, step),
      await leaveBehind(shop, step),
      await leaveBehind(shop, step),
      await leaveBehind(shop, step),
    ]
    const reports: Report[] = []
    const processes = Array.from({ length: count }, () =>
      createAssent({
        app: 'shop',
        participants: { orders: participant(orders!.pool), stock: participant(stock!.pool) },
        onReport: (report) => reports.push(report),
      }),
    )
    onTestFinished(async () => {
      await Promise.all(processes.map((each) => each.close()))
    })
    for (const leftover of leftovers) leftover.vanish()
    await Promise.all(processes.map((each) => each.recover()))
    await expect.poll(() => stock!.prepared(), { timeout: 20_000 }).toEqual([])
    expect([await orders!.count(), await stock!.count()]).toEqual([rows, rows])
    for (const { id } of leftovers) {
      expect(await processes.at(-1)?.outcome(id)).toEqual({ outcome })
    }
    const ended = reports.filter((report) => report.type === 'recovered')
    expect(ended).toHaveLength(leftovers.length)
    expect(reports.filter((report) => report.type !== 'recovered')).toEqual([])
  })
})
