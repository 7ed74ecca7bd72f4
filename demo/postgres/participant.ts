/**
 * Owns: how a process of the demo uses a PostgreSQL database: an ordinary pool, and a transfer's two
 * statements.
 * Promises: a broken idle connection does not end the process (a pool needs a listener for that).
 */
import pg from 'pg'
import { pg as participant } from 'assent/pg'
import type { PgHandle } from 'assent/pg'
import type { Hand, Opened } from '../connect.ts'

/** `applicationName` is what the outside observer knows the sessions of this process by. */
export function openPostgres(url: string, applicationName: string): Opened<PgHandle<pg.Pool>> {
  const pool = new pg.Pool({ connectionString: url, application_name: applicationName })
  pool.on('error', () => undefined)
  return { participant: participant(pool), handOf, close: () => pool.end() }
}

function handOf(handle: PgHandle<pg.Pool>): Hand {
  return {
    enter: async (transfer, account, amount) => {
      await handle.query('INSERT INTO ledger (transfer, account, amount) VALUES ($1, $2, $3)', [
        transfer,
        account,
        amount,
      ])
    },
    move: async (account, amount) => {
      const { rowCount } = await handle.query(
        'UPDATE account SET balance = balance + $2 WHERE id = $1 AND balance + $2 >= 0',
        [account, amount],
      )
      return rowCount === 1
    },
  }
}
