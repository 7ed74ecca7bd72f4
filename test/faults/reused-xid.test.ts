/**
 * PostgreSQL gives a transaction id again when a crash has swallowed the first one's traces. Whoever
 * takes the server's own status of an id for the decision commits what was never committed.
 */
import { expect, test } from 'vitest'
import type pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import { ownDatabase, ownServer } from '../support/own-server.ts'

test('the claim’s xid is used again and commits (fault 27): the transaction stays aborted', async () => {
  // Nothing but a commit writes the log to the disk meanwhile.
  const settings = { wal_writer_delay: '10s', autovacuum: 'off' }
  const server = await ownServer('forgetful', settings)
  const { pool } = await ownDatabase(server)
  const stock = await freshDatabase('second')
  const leftover = await leaveBehind({ orders: { pool }, stock }, 'voted')
  const { rows } = await pool.query<{ xid: string }>(
    "select backend_xid::text as xid from pg_stat_activity where state = 'idle in transaction'",
  )
  const xid = rows[0]?.xid ?? ''
  await server.kill()
  leftover.vanish()
  await server.start()

  await expect.poll(() => committedXid(pool)).toBe(xid)
  const status = await pool.query<{ is: string }>('select pg_xact_status($1::xid8) as is', [xid])
  expect(status.rows).toEqual([{ is: 'committed' }])

  await using assent = createAssent({
    app: 'shop',
    participants: { orders: participant(pool), stock: participant(stock.pool) },
  })
  await expect.poll(() => stock.prepared()).toEqual([])
  expect(await stock.count()).toBe(0)
  expect(await assent.outcome(leftover.id)).toEqual({ outcome: 'aborted' })
})

/** The id of a transaction of somebody else's, which commits. */
async function committedXid(pool: pg.Pool): Promise<string> {
  const text = 'insert into t values (2) returning pg_current_xact_id()::text as xid'
  return (await pool.query<{ xid: string }>(text)).rows[0]?.xid ?? ''
}
