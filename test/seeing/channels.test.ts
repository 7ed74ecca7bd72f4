/**
 * What whoever listens to `node:diagnostics_channel` hears of a transaction, and what he never hears.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { REPORT_FIELDS } from '../../src/engine/report-events.ts'
import { SPAN_FIELDS, SPAN_NAMES } from '../../src/platform/channels.ts'
import type { SpanName } from '../../src/ports/index.ts'
import { openOver, openShop, rejection, writeBoth } from '../support/assent.ts'
import { leaveBehind } from '../support/leftover.ts'
import { listen } from './listening.ts'
import type { Heard } from './listening.ts'

const ended = (heard: readonly Heard[], name: string): readonly Heard['says'][] =>
  heard.filter(({ what }) => what === `${name} asyncEnd`).map(({ says }) => says)

describe('whoever listens', () => {
  test('hears every message of a two-phase commit, in the order of the protocol', async () => {
    const app = 'heard'
    const shop = await openShop({ app })
    await writeBoth(shop)
    const heard = listen(app)
    const txid = await writeBoth(shop, 'last')
    const messages = ['join', 'claim', 'vote', 'decide', 'apply', 'transaction']
    const ends = heard.filter(({ what }) => what.endsWith(' asyncEnd'))
    expect(ends.map(({ what }) => what.split(' ')[0])).toEqual(['join', ...messages])
    expect(ended(heard, 'transaction')).toEqual([
      { app, txid, attempt: 1, protocol: 'two-phase', outcome: 'committed' },
    ])
    const of = (participant: string): object => ({ app, txid, participant })
    expect(ended(heard, 'claim')).toEqual([{ ...of('orders'), answer: 'yes' }])
    expect(ended(heard, 'vote')).toEqual([{ ...of('stock'), answer: 'yes' }])
    expect(ended(heard, 'decide')).toEqual([{ ...of('orders'), answer: 'yes' }])
    expect(ended(heard, 'apply')).toEqual([{ ...of('stock'), answer: 'done' }])
    expect(heard.filter(({ what }) => what.endsWith(' error'))).toEqual([])
    for (const { what, says } of heard) {
      const documented: readonly string[] = SPAN_FIELDS[what.split(' ')[0] as SpanName]
      expect(documented).toEqual(expect.arrayContaining(Object.keys(says)))
    }
  })

  test('hears of one database alone that its commit decides, and of readers', async () => {
    const app = 'alone'
    const { assent } = await openShop({ app })
    const heard = listen(app)
    const work = async (db: Parameters<Parameters<typeof assent.transaction>[0]>[0]) => {
      await db.stock.query('select 1')
      await db.orders.query('insert into t values (1)')
    }
    await assent.transaction(work, { reads: ['stock'] })
    expect(ended(heard, 'commit-reader')).toMatchObject([{ participant: 'stock', answer: 'yes' }])
    expect(ended(heard, 'decide')).toMatchObject([{ participant: 'orders', answer: 'yes' }])
    expect(ended(heard, 'transaction')).toMatchObject([
      { protocol: 'one-phase', outcome: 'committed' },
    ])
  })

  test('hears the code of an error, and nothing of what the user wrote', async () => {
    const app = 'secret'
    const { assent, orders } = await openShop({ app })
    await orders.sql('create table u (x text unique deferrable initially deferred)')
    const heard = listen(app)
    await rejection(
      assent.transaction(
        async (db) => {
          await db.stock.query('insert into t values (1)')
          await db.orders.query('insert into u values ($1), ($1)', ['hush-hush'])
        },
        { decider: 'stock' },
      ),
    )
    expect(ended(heard, 'vote')).toMatchObject([
      { participant: 'orders', answer: 'no', errorCode: '23505' },
    ])
    const [transaction] = ended(heard, 'transaction')
    expect(transaction).toMatchObject({ outcome: 'aborted', errorCode: 'ASSENT_REFUSED' })
    expect(heard.some(({ what }) => what === 'transaction error')).toBe(true)
    expect(JSON.stringify(heard)).not.toMatch(/hush-hush|insert|values/)
  })

  test('hears of recovery what the onReport listener is told, without the gid', async () => {
    const app = 'shop'
    const { orders, stock } = await openShop({ app: 'elsewhere' })
    const left = await leaveBehind({ orders, stock }, 'decided')
    left.vanish()
    const heard = listen(app)
    const { reports } = openOver({ orders, stock })
    await expect.poll(() => ended(heard, 'recovery-round').length).toBeGreaterThan(0)
    await expect.poll(() => reports.map(({ type }) => type)).toContain('recovered')
    const { txid } = left.gid
    expect(heard.filter(({ what }) => what === 'recovered')).toEqual([
      {
        what: 'recovered',
        says: { app, participant: 'stock', txid, register: 'orders', outcome: 'committed' },
      },
    ])
    expect(JSON.stringify(heard)).not.toContain('A1.')
    expect(Object.keys(heard.find(({ what }) => what === 'recovered')?.says ?? {})).toEqual(
      REPORT_FIELDS.recovered,
    )
  })
})

test('whoever freezes what he hears changes nothing of what the caller is told', async () => {
  const app = 'frozen'
  const shop = await openShop({ app })
  for (const name of SPAN_NAMES) {
    const freeze = (context: unknown): void => {
      if ((context as { app?: unknown }).app === app) Object.freeze(context)
    }
    const channel = `tracing:assent:${name}:start`
    subscribe(channel, freeze)
    onTestFinished(() => void unsubscribe(channel, freeze))
  }
  await writeBoth(shop)
  expect([await shop.orders.count(), await shop.stock.count()]).toEqual([1, 1])
  const thrown = new Error('sold out')
  expect(await rejection(shop.assent.transaction(() => Promise.reject(thrown)))).toBe(thrown)
})
