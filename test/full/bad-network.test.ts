/**
 * The network between a process and its databases is slow, loses a part of everything, or breaks again
 * and again.
 */
import { expect, test } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import { Network, once } from '../faults/network.ts'
import { refusal } from '../support/assent.ts'

test('a third of all segments is lost (fault 36): slower, and all or nothing each time', async () => {
  const network = await Network.open()
  await network.write(undefined, 0)
  let seed = 7
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  for (const name of ['orders', 'stock'] as const) {
    network.site(name).link.inflict('both', { kind: 'loss', share: 0.3, random })
  }
  const told = await Promise.all([1, 2, 3, 4, 5, 6].map((x) => network.told(6_000, x)))
  for (const name of ['orders', 'stock'] as const) network.site(name).link.heal()
  await expectAllOrNothing(network, told)
  expect(network.site('stock').link.counts.lostSegments).toBeGreaterThan(5)
})

test('one link is 5 s late (fault 37): time is up, and a PREPARE that comes late is rolled back', async () => {
  const network = await Network.open()
  const { link, database } = network.site('stock')
  await network.write()
  let wasPrepared = false
  network.onAnswer.set('stock vote', () => {
    wasPrepared = true
    return 'pass'
  })
  network.onAnswer.set(
    'orders first-claim',
    once(() => {
      link.inflict('to-server', { kind: 'delay', delayMs: 5_000 })
    }),
  )
  await refusal(network.write(), 'ASSENT_TIMEOUT')
  expect([wasPrepared, await database.prepared()]).toEqual([false, []])
  await eventually('the late PREPARE', () => wasPrepared, { timeoutMs: 15_000 })
  link.heal()
  await network.settles([1, 1])
})

test('the network flaps every 100 ms (fault 42): all or nothing each time, and then all is well', async () => {
  const network = await Network.open()
  await network.write(undefined, 0)
  const links = (['orders', 'stock'] as const).map((name) => network.site(name).link)
  const flapping = links.map((link) => link.flap(100))
  const told: Awaited<ReturnType<Network['told']>>[] = []
  const isSeen = async (): Promise<boolean> => {
    const round = [1, 2, 3, 4].map((at) => network.told(1_500, told.length + at))
    told.push(...(await Promise.all(round)))
    return links.every((link) => link.counts.flaps >= 25) && new Set(told).size > 1
  }
  await eventually('commits and failures', isSeen, { timeoutMs: 40_000 })
  for (const each of flapping) each[Symbol.dispose]()
  await expectAllOrNothing(network, told)
  await network.write(undefined, 1_000)
})

/** Each transaction wrote a number of its own: it is in both databases, or in none, as told. */
async function expectAllOrNothing(
  network: Network,
  told: readonly ('committed' | 'aborted' | 'unknown')[],
): Promise<void> {
  const [orders, stock] = [network.site('orders').database, network.site('stock').database]
  const read = async (database: typeof orders): Promise<readonly unknown[]> =>
    (await database.sql('select x from t where x > 0 order by x')).map((row) => row['x'])
  for (const database of [orders, stock]) {
    await expect.poll(() => database.prepared(), { timeout: 20_000 }).toEqual([])
  }
  // A COMMIT that is still under way is over once nobody is inside a transaction.
  const open = `select pid from pg_stat_activity where datname = current_database()
    and xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'`
  await expect.poll(() => orders.sql(open), { timeout: 20_000 }).toEqual([])
  await expect.poll(() => stock.prepared(), { timeout: 20_000 }).toEqual([])
  const [inOrders, inStock] = [await read(orders), await read(stock)]
  expect(inOrders).toEqual(inStock)
  for (const [at, outcome] of told.entries()) {
    if (outcome !== 'unknown') expect(inOrders.includes(at + 1)).toBe(outcome === 'committed')
  }
}
