/**
 * The network between a process and its databases fails in every way that networks do.
 */
import { describe, expect, test } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import { refusal } from '../support/assent.ts'
import { Network, once } from './network.ts'
import type { NetworkMessage } from './network.ts'

const BLACK_HOLE = { kind: 'black-hole' } as const

describe('one direction is lost', () => {
  test('PREPARE arrives and its answer does not (fault 32): aborted, and rolled back after it', async () => {
    const network = await Network.open()
    const { link, database } = network.site('stock')
    network.onArrival.set(
      'stock vote',
      once(() => {
        link.inflict('to-client', BLACK_HOLE)
      }),
    )
    await refusal(network.write(500), 'ASSENT_TIMEOUT')
    await expect.poll(() => database.prepared()).toHaveLength(1)
    link.heal()
    await network.settles([0, 0])
  })

  test('COMMIT arrives and its answer does not (fault 32): unknown, then found committed', async () => {
    const network = await Network.open()
    const { link } = network.site('orders')
    network.onArrival.set(
      'orders decide',
      once(() => {
        link.inflict('to-client', BLACK_HOLE)
      }),
    )
    const error = await refusal(network.write(500), 'ASSENT_TIMEOUT', 'unknown')
    link.heal()
    const asked = await network.assent.outcome(error.transactionId ?? '', { waitMs: 20_000 })
    expect(asked).toEqual({ outcome: 'committed' })
    await network.settles([1, 1])
  })
})

test('a cable is pulled (fault 35): the server frees the session by itself, and the claim with it', async () => {
  const network = await Network.open()
  const outsider = network.outsider()
  const { database } = network.site('orders')
  await network.write()
  network.onAnswer.set('stock vote', () => {
    for (const name of ['orders', 'stock'] as const) {
      network.site(name).link.inflict('both', BLACK_HOLE)
    }
    return 'pass'
  })
  await refusal(network.write(500), 'ASSENT_TIMEOUT')
  const open = "select pid from pg_stat_activity where state = 'idle in transaction'"
  const ofThis = `${open} and datname = current_database()`
  // Nobody told the server that the process is gone: to everybody else, it still runs.
  expect(await database.sql(ofThis)).toHaveLength(1)
  expect(await outsider.recover()).toMatchObject([{ reason: 'running' }])
  await expect.poll(() => database.sql(ofThis), { timeout: 15_000 }).toEqual([])
  await network.settles([1, 1])
  for (const name of ['orders', 'stock'] as const) network.site(name).link.heal()
  network.onAnswer.clear()
  await network.write()
  await network.settles([2, 2])
})

test('the session of a vanished client is given up within bounds (fault 35)', async () => {
  const network = await Network.open()
  const settings = await network.assent.transaction(
    async ({ orders }) => {
      const text = `select name, setting::int as value from pg_settings
        where name in ('tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count',
          'idle_in_transaction_session_timeout')`
      return (await orders!.query<{ name: string; value: number }>(text)).rows
    },
    { timeoutMs: 8_000 },
  )
  const value = (name: string): number => settings.find((each) => each.name === name)?.value ?? 0
  expect(value('idle_in_transaction_session_timeout')).toBe(13_000)
  expect(value('tcp_keepalives_idle')).toBeGreaterThan(0)
  const probes = value('tcp_keepalives_interval') * value('tcp_keepalives_count')
  expect(probes).toBeGreaterThan(0)
  // Linux waits for two hours by default.
  expect(value('tcp_keepalives_idle') + probes).toBeLessThan(60)
})

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
    'orders claim',
    once(() => {
      link.inflict('to-server', { kind: 'delay', delayMs: 5_000 })
    }),
  )
  await refusal(network.write(1_000), 'ASSENT_TIMEOUT')
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

describe('an answer ends in the middle of a frame (fault 44)', () => {
  test.each<[NetworkMessage, 'committed' | 'aborted', number]>(
    [1, 5, 11, 17].flatMap((bytes) => [
      ['orders claim', 'aborted', bytes],
      ['stock vote', 'aborted', bytes],
      ['orders decide', 'committed', bytes],
      ['stock apply', 'committed', bytes],
    ]),
  )('to %s: %s, after %i bytes', async (message, outcome, afterBytes) => {
    const network = await Network.open({ recovery: 'direct' })
    const [name] = message.split(' ') as ['orders' | 'stock']
    const { link } = network.site(name)
    network.onAnswer.set(
      message,
      once(() => {
        link.inflict('to-client', { kind: 'truncation', afterBytes })
      }),
    )
    expect(await network.told()).toBe(outcome)
    expect(link.counts.truncatedConnections).toBe(1)
    link.heal()
    const rows = outcome === 'committed' ? 1 : 0
    await network.settles([rows, rows])
    await network.write()
  })
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
