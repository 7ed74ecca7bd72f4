/**
 * What whoever listens to a channel can do to a transaction: bind what belongs to it, and no harm.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { expect, onTestFinished, test } from 'vitest'
import { openShop, writeBoth } from '../support/assent.ts'

test('whoever listens can bind what belongs to a span: the work runs inside it', async () => {
  const app = 'bound'
  const { assent } = await openShop({ app })
  const span = new AsyncLocalStorage<string>()
  const channel = tracingChannel<string, { txid: string }>('assent:transaction')
  channel.start.bindStore(span, ({ txid }) => txid)
  onTestFinished(() => void channel.start.unbindStore(span))
  const [inside, id] = await assent.transaction(async (db, tx) => {
    await db.orders.query('select 1')
    return [span.getStore(), tx.id]
  })
  expect(inside).toBe(id)
  expect(span.getStore()).toBeUndefined()
})

test('whoever listens can fail without any harm to a transaction', async () => {
  const shop = await openShop({ app: 'failing' })
  const channel = tracingChannel('assent:vote')
  const fails = (): never => {
    throw new Error('this listener is broken')
  }
  const thrown: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', (error) => thrown.push(error))
  channel.start.subscribe(fails)
  onTestFinished(() => {
    channel.start.unsubscribe(fails)
    process.removeAllListeners('uncaughtException')
    for (const each of listeners) process.on('uncaughtException', each)
  })
  await writeBoth(shop)
  expect(await shop.stock.count()).toBe(1)
  expect(thrown).toEqual([new Error('this listener is broken')])
})
