/**
 * Owns: how a process of the demo uses a MariaDB database: an ordinary pool of mysql2, and a
 * transfer's two statements.
 */
import mysql from 'mysql2/promise'
import { mysql2 as participant } from 'assent/mysql2'
import type { Mysql2Handle } from 'assent/mysql2'
import type { Hand, Opened } from '../connect.ts'

export function openMariadb(url: string): Opened<Mysql2Handle<mysql.Pool>> {
  const pool = mysql.createPool(url)
  return { participant: participant(pool), handOf, close: () => pool.end() }
}

function handOf(handle: Mysql2Handle<mysql.Pool>): Hand {
  return {
    enter: async (transfer, account, amount) => {
      await handle.execute('INSERT INTO ledger (transfer, account, amount) VALUES (?, ?, ?)', [
        transfer,
        account,
        amount,
      ])
    },
    move: async (account, amount) => {
      const [{ affectedRows }] = await handle.execute<mysql.ResultSetHeader>(
        'UPDATE account SET balance = balance + ? WHERE id = ? AND balance + ? >= 0',
        [amount, account, amount],
      )
      return affectedRows === 1
    },
  }
}
