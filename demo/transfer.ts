/**
 * Owns: what one transfer is, and its work in the databases.
 * Promises: the amounts of a transfer add up to nothing, so money is neither made nor lost if it is
 * in all of its databases, or in none.
 */
import type { HandlesOf, Transaction } from 'assent'
import { ACCOUNTS, DATABASES } from './bank.ts'
import type { DatabaseName } from './bank.ts'
import type { BankAssent } from './connect.ts'
import type { Random } from './random.ts'

export interface Part {
  readonly database: DatabaseName
  readonly account: number
  readonly amount: number
}

export interface Transfer {
  readonly id: string
  /** One for each database that takes part, in the order of joining. */
  readonly parts: readonly Part[]
}

/** From an account of one database to one each of one or two others. */
export function chooseTransfer(id: string, random: Random): Transfer {
  const databases = random.shuffle(DATABASES).slice(0, random.chance(0.5) ? 3 : 2)
  const received = databases.map((_, at) => (at === 0 ? 0 : random.between(1, 20)))
  const sent = received.reduce((sum, amount) => sum + amount, 0)
  const parts = databases.map((database, at) => {
    const amount = at === 0 ? -sent : (received[at] ?? 0)
    return { database, account: random.between(1, ACCOUNTS), amount }
  })
  return { id, parts: random.shuffle(parts) }
}

/** The function given to `assent.transaction()`: an ordinary one, without a word about commit. */
export async function makeTransfer(
  handles: HandlesOf<BankAssent>,
  tx: Transaction,
  transfer: Transfer,
): Promise<void> {
  for (const { database, account, amount } of transfer.parts) {
    await handles[database].query(
      'INSERT INTO ledger (transfer, account, amount) VALUES ($1, $2, $3)',
      [transfer.id, account, amount],
    )
  }
  // Rows are locked in the same order by everyone: no server sees a deadlock that spans two.
  for (const name of DATABASES) {
    const part = transfer.parts.find(({ database }) => database === name)
    if (part === undefined) continue
    const { rowCount } = await handles[name].query(
      'UPDATE account SET balance = balance + $2 WHERE id = $1 AND balance + $2 >= 0',
      [part.account, part.amount],
    )
    if (rowCount === 0) throw tx.abort(`account ${part.account} in ${name} has too little`)
  }
}
