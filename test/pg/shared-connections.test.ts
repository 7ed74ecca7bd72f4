/**
 * Connections of a pool that others use as well, and what they may have left behind.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, onTestFinished, test } from 'vitest'
import { openShop, refusal, rejection, writeBoth } from '../support/assent.ts'

const SHOW = `select current_setting('tcp_user_timeout') as user_timeout,
  current_setting('client_connection_check_interval') as check_interval`

test.each(['DISCARD ALL', 'RESET ALL'])(
  'after somebody’s %s, the time-outs for vanished clients are set again',
  async (reset) => {
    const { assent, orders } = await openShop({}, { orders: { max: 1 } })
    const shown = (): Promise<unknown> =>
      assent.transaction(async (db): Promise<unknown> => (await db.orders.query(SHOW)).rows[0])
    const before = await shown()
    expect(before).toEqual({ user_timeout: '25000', check_interval: '1s' })
    await orders.pool.query(reset)
    expect(await shown()).toEqual(before)
  },
)

test('statements that a function has deallocated: aborted, and running again helps', async () => {
  const shop = await openShop({}, { orders: { max: 1 } })
  await writeBoth(shop)
  await writeBoth(shop)
  const work = shop.assent.transaction(async ({ orders, stock }) => {
    await stock.query('insert into t values (2)')
    await orders.query('insert into t values (2)')
    await orders.query("do $$ begin execute 'deallocate all'; end $$")
  })
  const error = await refusal(work, 'ASSENT_REFUSED')
  expect(error).toMatchObject({ retryable: true, cause: { code: '26000' } })
  await writeBoth(shop)
})

test('a connection that was cut when time was over never goes back to its pool', async () => {
  const { assent, orders } = await openShop()
  const errors: unknown[] = []
  orders.pool.on('error', (error) => errors.push(error))
  const work = assent.transaction(
    async (db, tx) => {
      const isOver = new Promise((resolve) => {
        tx.signal.addEventListener('abort', resolve)
      })
      // Refused before it was sent: the branch has a connection, and nothing on it.
      await rejection(db.orders.query('commit'))
      await isOver
    },
    { timeoutMs: 300 },
  )
  await refusal(work, 'ASSENT_TIMEOUT')
  await expect.poll(() => orders.pool.totalCount).toBe(0)
  expect(errors).toEqual([])
})

test('on a connection that the pool’s own listener sets up, nothing is said before he is done', async () => {
  const warnings: string[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', onWarning)
  onTestFinished(() => void process.off('warning', onWarning))
  const { assent, orders } = await openShop()
  orders.pool.on('connect', (client) => void client.query('set search_path to public'))
  await assent.transaction((db) => db.orders.query('insert into t values (1)'))
  await new Promise((resolve) => setImmediate(resolve))
  expect(warnings).toEqual([])
})

test('what Assent asks on a connection is asked for whoever waits, not for who gave it back', async () => {
  const whose = new AsyncLocalStorage<string>()
  const { assent, orders } = await openShop({}, { orders: { max: 1 } })
  const client = await whose.run('the other', () => orders.pool.connect())
  const query = client.query.bind(client) as (...args: unknown[]) => unknown
  const askers = new Set<string | undefined>()
  client.query = ((...args: unknown[]) => {
    askers.add(whose.getStore())
    return query(...args)
  }) as typeof client.query
  const work = whose.run('ours', () => assent.transaction((db) => db.orders.query('select 1')))
  await expect.poll(() => orders.pool.waitingCount).toBe(1)
  whose.run('the other', () => {
    client.release()
  })
  await work
  expect([...askers]).toEqual(['ours'])
})

test('a connection that comes in the very moment when time is over: the statement is refused', async () => {
  const { assent, orders } = await openShop({}, { orders: { max: 1 } })
  const client = await orders.pool.connect()
  const statements: Promise<unknown>[] = []
  const work = assent.transaction(
    async (db, tx) => {
      // Told before whoever waits for the pool.
      tx.signal.addEventListener('abort', () => {
        client.release()
      })
      statements.push(db.orders.query('select 1'))
      await statements[0]
    },
    { timeoutMs: 200 },
  )
  await refusal(work, 'ASSENT_TIMEOUT')
  const errors = await Promise.all(statements.map(rejection))
  expect(errors).toMatchObject([{ code: 'ASSENT_UNREACHABLE' }])
  await expect.poll(() => orders.pool.idleCount).toBe(1)
})
