/**
 * Who recovers can reach only some of the databases, or who runs the transaction can.
 */
import { expect, test } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import type { Shop } from '../support/assent.ts'
import { leaveBehind } from '../support/leftover.ts'
import { Network } from './network.ts'

/** What `leaveBehind` needs of the databases: who left it behind had ways of its own. */
function shopOf(network: Network): Shop {
  const { assent, reports } = network
  const [orders, stock] = [network.site('orders').database, network.site('stock').database]
  return { assent, reports, orders, stock } as unknown as Shop
}

test.each([
  ['voted', [0, 0]],
  ['decided', [1, 1]],
] as const)(
  'recovery reaches the branch but not its register (fault 33): %s stays in doubt, visibly',
  async (step, rows) => {
    const network = await Network.open()
    const [orders, stock] = [network.site('orders'), network.site('stock')]
    // From the start: what recovery has seen before must not help it.
    orders.link.takeDown()
    const leftover = await leaveBehind(shopOf(network), step)
    leftover.vanish()
    const isTried = (): boolean =>
      network.reports.filter((each) => each.type === 'scan-failed').length >= 2 &&
      orders.link.counts.refusedConnections >= 6
    await eventually('it to have tried', isTried)
    expect(network.reports).toContainEqual(
      expect.objectContaining({ type: 'scan-failed', participant: 'orders' }),
    )
    expect(await stock.database.prepared()).toHaveLength(1)
    expect(await stock.database.sql('select register, branch from assent.in_doubt')).toEqual([
      { register: 'orders', branch: 'stock' },
    ])
    expect(await network.assent.outcome(leftover.id)).toEqual({
      outcome: 'unknown',
      reason: 'unreachable',
    })
    orders.link.heal()
    await network.settles(rows)
  },
)

test('recovery reaches the register but not the branch (fault 34): it is decided, applied later', async () => {
  const network = await Network.open()
  const { link } = network.site('stock')
  link.takeDown()
  const leftover = await leaveBehind(shopOf(network), 'decided')
  leftover.vanish()
  await eventually('it to have tried', () => link.counts.refusedConnections >= 2)
  expect(await network.assent.outcome(leftover.id)).toEqual({ outcome: 'committed' })
  expect(await network.rows()).toEqual([1, 0])
  link.heal()
  await network.settles([1, 1])
})
