/**
 * Owns: what one transfer is, and its work in the databases.
 * Promises: the amounts of a transfer add up to nothing, so money is neither made nor lost if it is
 * in all of its databases, or in none.
 */
import type { Transaction } from 'assent'
import { ACCOUNTS } from './accounts.ts'
import type { Hands } from './connect.ts'
import type { Place } from './database.ts'
import type { Random } from './random.ts'

export interface Part {
  readonly database: string
  readonly account: number
  readonly amount: number
}

export interface Transfer {
  readonly id: string
  /** One for each database that takes part, in the order of joining. */
  readonly parts: readonly Part[]
}

/** From an account of one database to one each of one or two others. */
export function chooseTransfer(id: string, names: readonly string[], random: Random): Transfer {
  const databases = random.shuffle(names).slice(0, random.chance(0.5) ? 3 : 2)
  const received = databases.map((_, at) => (at === 0 ? 0 : random.between(1, 20)))
  const sent = received.reduce((sum, amount) => sum + amount, 0)
  const parts = databases.map((database, at) => {
    const amount = at === 0 ? -sent : (received[at] ?? 0)
    return { database, account: random.between(1, ACCOUNTS), amount }
  })
  return { id, parts: random.shuffle(parts) }
}

/**
 * Who is named as the decider, if anybody. One that can't prepare decides by itself, but a branch of
 * MariaDB names its decider as it begins, which may be before that one has joined: so it is named.
 * Otherwise half of the transfers in which MariaDB takes part name one, so that each decides now and
 * then.
 */
export function deciderOf(
  { parts }: Transfer,
  places: readonly Place[],
  random: Random,
): string | undefined {
  const joining = places.filter(({ name }) => parts.some(({ database }) => database === name))
  if (joining.every(({ system }) => system === 'postgres')) return undefined
  const wished = random.chance(0.5) ? random.pick(joining) : undefined
  return (joining.find(({ prepares }) => !prepares) ?? wished)?.name
}

/** The function given to `assent.transaction()`: an ordinary one, without a word about commit. */
export async function makeTransfer(
  hands: Hands,
  tx: Transaction,
  { id, parts }: Transfer,
): Promise<void> {
  for (const { database, account, amount } of parts) {
    await hands.get(database)?.enter(id, account, amount)
  }
  // Rows are locked in the same order by everyone: no server sees a deadlock that spans two.
  for (const [name, hand] of hands) {
    const part = parts.find(({ database }) => database === name)
    if (part === undefined || (await hand.move(part.account, part.amount))) continue
    throw tx.abort(`account ${part.account} in ${name} has too little`)
  }
}
