/**
 * The network between a process and its databases fails in every way that networks do.
 */
import { describe, expect, test } from 'vitest'
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
    const refused = refusal(network.write(), 'ASSENT_TIMEOUT')
    // Before the time is over: from then on, a rollback may arrive whose answer is lost as well.
    await expect.poll(() => database.prepared()).toHaveLength(1)
    await refused
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
    const error = await refusal(network.write(), 'ASSENT_TIMEOUT', 'unknown')
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
  await refusal(network.write(), 'ASSENT_TIMEOUT')
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

describe('an answer ends in the middle of a frame (fault 44)', () => {
  test.each<[NetworkMessage, 'committed' | 'aborted', number]>(
    [1, 5, 11, 17].flatMap((bytes) => [
      ['orders first-claim', 'aborted', bytes],
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
    expect(link.counts.truncatedConnections).toBeGreaterThan(0)
    link.heal()
    const rows = outcome === 'committed' ? 1 : 0
    await network.settles([rows, rows])
    await network.write()
  })
})
