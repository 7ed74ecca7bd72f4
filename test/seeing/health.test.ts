/**
 * What `health()` and `metrics()` say of real servers, and what of things that take too long to wait for.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { Meters, Sightings } from '../../src/engine/index.ts'
import type { Doubt, Sighting } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { healthOf } from '../../src/seeing/health.ts'
import { METRICS } from '../../src/seeing/metrics.ts'
import { VERSION } from '../../src/seeing/version.ts'
import { read } from '../docs/markdown.ts'
import { openShop, rejection, writeBoth } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import { readOpenMetrics } from './open-metrics.ts'

const sampleOf = (text: string, name: string, sample: string): number | undefined =>
  readOpenMetrics(text).get(name)?.samples.get(sample)

describe('on real servers', () => {
  test('health is ok once every database was looked at, and says what is prepared', async () => {
    const shop = await openShop()
    expect(await shop.assent.health()).toMatchObject({
      status: 'failing',
      reasons: [expect.stringContaining('orders was not looked at yet'), expect.any(String)],
      participants: { orders: { reachable: 'not known yet', scannedAt: null } },
    })
    await expect.poll(async () => (await shop.assent.health()).status).toBe('ok')
    const nothing = { inDoubt: [], oldestPreparedMs: null, xminHorizonTransactions: 0 }
    expect((await shop.assent.health()).participants).toMatchObject({ stock: nothing })

    const left = await leaveBehind(shop, 'voted')
    await shop.stock.sql('insert into t values (2)')
    const stock = async () => (await shop.assent.health()).participants['stock']
    await expect
      .poll(stock)
      .toMatchObject({ reachable: 'yes', inDoubt: [{ reason: 'running', transactions: 1 }] })
    expect((await stock())?.xminHorizonTransactions).toBeGreaterThanOrEqual(2)
    const text = shop.assent.metrics()
    const inDoubt = 'assent_in_doubt_transactions'
    const running = `${inDoubt}{participant="stock",reason="running"}`
    expect(sampleOf(text, inDoubt, running)).toBe(1)
    left.vanish()
    await expect.poll(stock).toMatchObject(nothing)
    const recovered = 'assent_recoveries_total{participant="stock",result="aborted"}'
    expect(sampleOf(shop.assent.metrics(), 'assent_recoveries', recovered)).toBe(1)
    await shop.assent.close()
    expect(await shop.assent.health()).toMatchObject({ status: 'failing', participants: {} })
  })

  test('health says which database can’t be reached, without the password', async () => {
    const orders = await freshDatabase('first')
    const nowhere = new pg.Pool({ connectionString: 'postgres://me:hush-hush@127.0.0.1:1/stock' })
    const assent = createAssent({
      app: 'shop',
      participants: { orders: participant(orders.pool), stock: participant(nowhere) },
    })
    onTestFinished(() => assent.close())
    await expect
      .poll(() => assent.health())
      .toMatchObject({
        status: 'failing',
        reasons: [expect.stringMatching(/^stock could not be reached at 20.+ECONNREFUSED/)],
        participants: { orders: { reachable: 'yes' }, stock: { reachable: 'no' } },
      })
    expect(JSON.stringify(await assent.health())).not.toContain('hush')
    const reachable = 'assent_participant_reachable'
    const families = readOpenMetrics(assent.metrics())
    expect([...(families.get(reachable)?.samples ?? [])]).toEqual([
      [`${reachable}{participant="orders"}`, 1],
      [`${reachable}{participant="stock"}`, 0],
    ])
  })

  test('metrics are OpenMetrics, and count what was done', async () => {
    const shop = await openShop({ app: 'counted' })
    await writeBoth(shop)
    await writeBoth(shop, 'last')
    await shop.assent.transaction(({ orders }) => orders.query('insert into t values (1)'))
    await rejection(
      shop.assent.transaction(async ({ orders }) => {
        await orders.query('select 1')
        throw new Error('no')
      }),
    )
    const text = shop.assent.metrics()
    const families = readOpenMetrics(text)
    expect(
      [...families].map(([name, { type, help, unit }]) => ({ name, type, help, unit })),
    ).toEqual(METRICS.map(({ name, type, help, unit }) => ({ name, type, help, unit })))
    const transactions = families.get('assent_transactions')?.samples
    const counted = [...(transactions ?? [])].filter(([, count]) => count > 0)
    expect(Object.fromEntries(counted)).toEqual({
      'assent_transactions_total{protocol="one-phase",outcome="committed"}': 1,
      'assent_transactions_total{protocol="two-phase",outcome="committed"}': 2,
      'assent_transactions_total{protocol="none",outcome="aborted"}': 1,
    })
    const phases = families.get('assent_branch_duration_seconds')?.samples
    const count = (name: string, phase: string): number | undefined =>
      phases?.get(`assent_branch_duration_seconds_count{participant="${name}",phase="${phase}"}`)
    const of = (name: string): object => ({
      claim: count(name, 'claim'),
      vote: count(name, 'vote'),
      decide: count(name, 'decide'),
      apply: count(name, 'apply'),
    })
    expect(of('orders')).toEqual({ claim: 2, vote: 0, decide: 3, apply: 0 })
    expect(of('stock')).toEqual({ claim: 0, vote: 2, decide: 0, apply: 2 })
    const waits = families.get('assent_pool_wait_seconds')?.samples
    expect(waits?.get('assent_pool_wait_seconds_count{participant="orders"}')).toBe(4)
    expect(text).not.toMatch(/A1\.|insert/)
  })
})

test('the version that is printed is the package’s', () => {
  expect(VERSION).toBe((JSON.parse(read('package.json')) as { version: string }).version)
})

describe('health', () => {
  const seen: Sighting = {
    reached: 'yes',
    scannedAtMs: Date.UTC(2026, 10, 1),
    scan: { agoMs: 1_000, dueMs: 61_500 },
    error: undefined,
    inDoubt: [],
    oldestPreparedMs: undefined,
    horizonTransactions: 0,
  }
  const meters = new Meters(['stock'])
  const healthWith = (
    inDoubt: readonly Doubt[],
    pausing?: { sinceMs: number; error: unknown },
    counted = meters,
  ) => {
    const known = {
      meters: counted,
      sighting: () => ({ ...seen, inDoubt }),
      pausing: () => pausing,
    }
    return healthOf(known, ['stock'])
  }

  test.each([
    ['held', 6_000, 'degraded'],
    ['held', 1_000, 'ok'],
    ['not-owner', 6_000, 'degraded'],
    ['running', 6_000, 'ok'],
    ['running', 61_000, 'degraded'],
    ['register-unclear', 61_000, 'degraded'],
    ['other-app', 6_000_000, 'ok'],
  ] as const)('of a branch that is %s for %i ms is %s', (reason, ageMs, status) => {
    expect(healthWith([{ reason, ageMs }]).status).toBe(status)
  })

  test('names the reason, how many and how old', () => {
    const doubts = [
      { reason: 'held', ageMs: 90_000 },
      { reason: 'held', ageMs: 312_000 },
    ] as const
    expect(healthWith(doubts)).toMatchObject({
      reasons: ['stock has 2 prepared: waits for a person (held), the oldest for 312 s.'],
      participants: { stock: { inDoubt: [{ transactions: 2, oldestMs: 312_000 }] } },
    })
  })

  test('says since when marks pile up, and what was lost', () => {
    const counted = new Meters(['stock'])
    counted.hear({ type: 'lost-vote', participant: 'stock', gid: 'A1.' })
    const error = Object.assign(new Error('secret text'), { code: '42501' })
    const health = healthWith([], { sinceMs: 0, error }, counted)
    expect(health.reasons).toEqual([
      'stock lost work that was committed elsewhere: do it again by hand (1 reported by this process).',
      'Old marks pile up since 1970-01-01T00:00:00.000Z because of stock: an error called 42501.',
    ])
    expect(health.participants['stock']?.alarms.lostVotes).toBe(1)
  })

  test('is degraded while a participant is not looked at any more: recovery hangs', () => {
    let now = 1_000
    const sightings = new Sightings({ ...nodeWorld, now: () => now })
    sightings.listed('stock', { branches: [], processes: 4 })
    const health = () => {
      const sighting = (): Sighting => sightings.of('stock', [])
      return healthOf({ meters, sighting, pausing: () => undefined }, ['stock'])
    }
    // One of four processes, so once in four seconds, six at the most; and a minute of patience.
    now += 66_000
    expect(health().status).toBe('ok')
    now += 1_000
    expect(health()).toMatchObject({
      status: 'degraded',
      reasons: ['stock was last looked at 67 s ago: recovery hangs, or this process did.'],
    })
    sightings.failed('stock', new Error('down'), [])
    expect(health().reasons).toEqual([expect.stringMatching(/^stock could not be reached/)])
  })
})
