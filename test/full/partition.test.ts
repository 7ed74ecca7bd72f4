/**
 * A partition leaves the process with one of its databases, and the decider with the other.
 */
import { expect, test } from 'vitest'
import { Network } from '../faults/network.ts'
import { refusal } from '../support/assent.ts'

test('a partition with the decider on the other side (fault 41): that side decides, the owner obeys', async () => {
  const network = await Network.open({ names: ['orders', 'stock', 'ledger'] })
  await network.write()
  const [orders, stock] = [network.site('orders'), network.site('stock')]
  let votes = 0
  // All have voted and the owner knows; then it is alone with ledger, and COMMIT is lost.
  network.onArrival.set('stock vote', () => {
    stock.link.inflict('to-server', { kind: 'black-hole' })
    return 'pass'
  })
  for (const message of ['stock vote', 'ledger vote'] as const) {
    network.onAnswer.set(message, () => {
      votes += 1
      if (votes === 2) orders.link.inflict('both', { kind: 'black-hole' })
      return 'pass'
    })
  }
  const error = await refusal(network.write(), 'ASSENT_TIMEOUT', 'unknown')
  expect(orders.link.waitingBytes('to-server')).toBeGreaterThan(0)
  stock.link.inflict('to-client', { kind: 'black-hole' })
  // The other side: it sees orders and stock, and never ledger.
  const others = network.outsider(['orders', 'stock'])
  await expect.poll(() => stock.database.prepared(), { timeout: 20_000 }).toEqual([])
  expect(await others.inDoubt()).toEqual([])
  expect(await network.site('ledger').database.prepared()).toHaveLength(1)
  for (const { link } of [orders, stock]) link.heal()
  await network.settles([1, 1, 1])
  expect(await network.assent.outcome(error.transactionId ?? '')).toEqual({ outcome: 'aborted' })
})
