/**
 * Connections of a pool that others use as well, and what they may have left behind.
 */
import { expect, test } from 'vitest'
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
