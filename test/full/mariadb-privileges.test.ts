/**
 * Who recovers on MariaDB may not, or may not any more: nothing is guessed, it is told, and it is ended
 * by whoever may.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import mysql from 'mysql2/promise'
import type { ParticipantDefinition } from 'assent'
import { mysql2 } from 'assent/mysql2'
import { freshMariadb } from '../support/mariadb-databases.ts'
import { leaveBehind } from '../support/pair-leftover.ts'
import type { Both } from '../support/pair-leftover.ts'
import { assentOver, freshApp, mariadbStore, openStore } from '../support/pairs.ts'
import type { AnyHandle, Stores } from '../support/pairs.ts'

/** MariaDB has stock, or orders; and a user that owns nothing there and was granted what Assent needs. */
async function sceneOf(where: Both) {
  const app = freshApp()
  const database = await freshMariadb('maria')
  const mine = mariadbStore('mariadb by mysql2', app, database)
  const other = await openStore('postgres', app)
  const stores: Stores<Both> =
    where === 'orders' ? { orders: mine, stock: other } : { orders: other, stock: mine }
  await assentOver(app, stores).assent.migrate()
  const user = `clerk_${app}`
  const sql = (text: string): Promise<unknown> => database.sql(text)
  await sql(`CREATE USER ${user}@'127.0.0.1' IDENTIFIED BY 'one'`)
  await sql(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${database.name}.* TO ${user}@'127.0.0.1'`)
  onTestFinished(async () => {
    await sql(`DROP USER IF EXISTS ${user}@'127.0.0.1'`)
  })
  const as = (password: string): Stores<Both> => {
    const url = new URL(database.url)
    url.username = user
    url.password = password
    const pool = mysql.createPool(url.href)
    onTestFinished(() => pool.end())
    const definition = mysql2(pool, { schema: database.name }) as unknown
    const store = { ...mine, definition: definition as ParticipantDefinition<AnyHandle> }
    return { ...stores, [where]: store }
  }
  return { app, stores, as, user: `${user}@'127.0.0.1'`, schema: database.name, sql }
}

const fateOf = async ({ orders, stock }: Stores<Both>, app: string): Promise<unknown> => ({
  rows: [await orders.count(), await stock.count()],
  prepared: await stock.prepared(app),
})
const COMMITTED = { rows: [1, 1], prepared: [] }

describe('who recovers lacks a right (fault 67)', () => {
  test('to write into the register’s marks: in doubt, told, and ended once it is granted', async () => {
    const { app, stores, as, user, schema, sql } = await sceneOf('orders')
    const leftover = await leaveBehind(app, stores, 'decided')
    await sql(`REVOKE INSERT ON ${schema}.* FROM ${user}`)
    leftover.vanish()
    const { assent } = assentOver(app, as('one'))
    const doubt = { participant: 'stock', reason: 'register-unclear' }
    await expect.poll(() => assent.recover()).toMatchObject([doubt])
    expect(await assent.outcome(leftover.id)).toMatchObject({ outcome: 'unknown' })
    expect(await stores.stock.prepared(app)).toHaveLength(1)
    await sql(`GRANT INSERT ON ${schema}.* TO ${user}`)
    await expect.poll(() => fateOf(stores, app), { timeout: 15_000 }).toEqual(COMMITTED)
  })

  test('to see whose connection has it: left alone as long as that lives, then ended', async () => {
    const { app, stores, as } = await sceneOf('stock')
    const leftover = await leaveBehind(app, stores, 'decided')
    // The connection is another user's.
    const { assent } = assentOver(app, as('one'))
    for (let round = 0; round < 3; round += 1) {
      const left = (await assent.recover()).filter(({ gid }) => gid.includes(app))
      expect(left).toMatchObject([{ participant: 'stock', reason: 'branch-unclear' }])
    }
    leftover.vanish()
    await expect.poll(() => fateOf(stores, app), { timeout: 15_000 }).toEqual(COMMITTED)
  })
})

describe('the user changes under a transaction (fault 68)', () => {
  test.each([
    ['its password is changed', `ALTER USER ? IDENTIFIED BY 'two'`],
    ['it is dropped', 'DROP USER ?'],
  ])(
    '%s: what is under way goes on, what is left is in doubt until somebody may',
    async (_how, text) => {
      const { app, stores, as, user, sql } = await sceneOf('stock')
      const leftover = await leaveBehind(app, as('one'), 'decided')
      const { assent } = assentOver(app, as('one'))
      await assent.transaction(
        async ({ orders, stock }) => {
          for (const handle of [stock, orders]) await handle.query('insert into t values (2)')
          await sql(text.replace('?', user))
        },
        { decider: 'orders' },
      )
      leftover.vanish()
      const locked = assentOver(app, as('one'))
      await expect(locked.assent.recover()).rejects.toThrow(/Access denied/)
      expect(await fateOf(stores, app)).toMatchObject({ rows: [2, 1] })
      assentOver(app, text.startsWith('ALTER') ? as('two') : stores)
      const ended = { rows: [2, 2], prepared: [] }
      await expect.poll(() => fateOf(stores, app), { timeout: 15_000 }).toEqual(ended)
    },
  )
})
