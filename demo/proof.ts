/**
 * The proof: what the workers were told, against what is in the databases.
 *
 * Owns: plain SQL over the demo's own tables, on connections of its own; the same on every system.
 * Promises: shares no code with Assent, and reads none of its tables. What Assent's `outcome()`
 * answered comes in as data, and is checked like every other answer.
 * Never: changes anything.
 */
import type { RecordedTransfer } from './answer-log.ts'
import { connectPlainly } from './database.ts'
import type { Place } from './database.ts'

export interface AskedAnswer {
  readonly outcome: 'committed' | 'aborted' | 'unknown'
  readonly reason: string
}

export interface ProofInput {
  readonly places: readonly Place[]
  readonly openingTotal: number
  readonly transfers: readonly RecordedTransfer[]
  /** By id: what `outcome()` answered for those whose outcome was unknown, or never answered. */
  readonly asked: ReadonlyMap<string, AskedAnswer>
}

/** One thing that was promised, and whether it held. */
export interface Check {
  readonly promise: string
  readonly found: string
  readonly disagreements: readonly string[]
}

export interface Proof {
  readonly checks: readonly Check[]
  /** The transfers that are in each database. */
  readonly present: ReadonlyMap<string, ReadonlySet<string>>
}

interface LedgerRow {
  readonly account: number
  readonly amount: number
}

interface Database {
  readonly name: string
  readonly ledger: ReadonlyMap<string, LedgerRow>
  readonly total: number
  readonly wrongBalances: readonly string[]
  readonly prepared: readonly string[]
  readonly sessions: readonly string[]
}

const LEDGER = 'SELECT transfer, account, amount FROM ledger'
const TOTAL = 'SELECT sum(balance) AS total FROM account'
const WRONG_BALANCES = `SELECT id, balance, expected FROM (
  SELECT id, balance, opening + coalesce(moved, 0) AS expected
  FROM account LEFT JOIN (SELECT account, sum(amount) AS moved FROM ledger GROUP BY account) AS sums
    ON sums.account = account.id) AS compared
WHERE balance <> expected ORDER BY id`

/** A session whose client has just ended is noticed, and what it had is undone, in a second or so. */
const SESSIONS_END_WITHIN_MS = 10_000

export async function prove(input: ProofInput): Promise<Proof> {
  const databases = await Promise.all(input.places.map((place) => readDatabase(place)))
  const present = new Map(databases.map(({ name, ledger }) => [name, new Set(ledger.keys())]))
  const checks = [
    ...checkAnswers(input, databases),
    checkStrangers(input, databases),
    checkMoney(input, databases),
    checkLeftovers(databases),
  ]
  return { checks, present }
}

async function readDatabase(place: Place): Promise<Database> {
  const { name } = place
  const sql = await connectPlainly(place, { as: 'proof' })
  try {
    const sessions = await lasting(() => sql.otherSessions())
    const ledger = await sql.rows(LEDGER)
    const [total] = await sql.rows(TOTAL)
    const wrong = await sql.rows(WRONG_BALANCES)
    const prepared = await lasting(() => sql.leftPrepared())
    return {
      name,
      // Both drivers give large numbers as text.
      ledger: new Map(
        ledger.map(({ transfer, account, amount }) => [
          String(transfer),
          { account: Number(account), amount: Number(amount) },
        ]),
      ),
      total: Number(total?.['total']),
      wrongBalances: wrong.map(
        ({ id, balance, expected }) =>
          `${name}: account ${String(id)} has ${String(balance)}, its ledger says ${String(expected)}`,
      ),
      prepared: prepared.map((what) => `${name}: ${what}`),
      sessions: sessions.map((session) => `${name}: the session ${session} is still there`),
    }
  } finally {
    await sql.close()
  }
}

async function lasting(look: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const deadline = Date.now() + SESSIONS_END_WITHIN_MS
  for (;;) {
    const found = await look()
    // The proof's own sessions at databases of the same server would not count, but there are none.
    if (found.length === 0 || Date.now() > deadline) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Where a transfer is: what plain SQL says became of it. */
type Fact = 'everywhere' | 'nowhere' | 'partly'

function factOf({ transfer }: RecordedTransfer, databases: readonly Database[]): Fact {
  let right = 0
  let found = 0
  for (const { name, ledger } of databases) {
    const row = ledger.get(transfer.id)
    const part = transfer.parts.find(({ database }) => database === name)
    if (row !== undefined) found += 1
    if (row !== undefined && row.account === part?.account && row.amount === part.amount) right += 1
  }
  if (found === 0) return 'nowhere'
  return right === transfer.parts.length && found === right ? 'everywhere' : 'partly'
}

/** A transfer, what its worker was told, and what SQL says. */
interface Judged {
  readonly recorded: RecordedTransfer
  readonly told: 'committed' | 'aborted' | 'unknown' | 'nothing'
  readonly fact: Fact
  /** Complete for a disagreement. */
  readonly words: string
}

function judge(recorded: RecordedTransfer, databases: readonly Database[]): Judged {
  const fact = factOf(recorded, databases)
  const told = recorded.answer === 'none' ? 'nothing' : recorded.answer.outcome
  const where = whereIs(recorded, databases, fact)
  const words = `transfer ${recorded.transfer.id} (${recorded.txid}): told ${told}, it is ${where}`
  return { recorded, told, fact, words }
}

function checkAnswers(input: ProofInput, databases: readonly Database[]): readonly Check[] {
  const judged = input.transfers.map((recorded) => judge(recorded, databases))
  const of = (told: Judged['told']): readonly Judged[] =>
    judged.filter((each) => each.told === told)
  const [committed, aborted, unknown] = [of('committed'), of('aborted'), of('unknown')]
  const unanswered = of('nothing')
  return [
    {
      promise: `${committed.length} told committed`,
      found: 'each in all of its databases',
      disagreements: allBut(committed, ['everywhere']),
    },
    {
      promise: `${aborted.length} told aborted`,
      found: 'each in none',
      disagreements: allBut(aborted, ['nowhere']),
    },
    {
      promise: `${unknown.length} told unknown`,
      found: `${split(unknown)}; assent.outcome() says the same of each`,
      disagreements: [
        ...allBut(unknown, ['everywhere', 'nowhere']),
        ...unknown.flatMap((each) => checkAsked(input, each)),
      ],
    },
    {
      promise: `${unanswered.length} unanswered, their worker was killed`,
      found: `${split(unanswered)}; assent.outcome() finds those`,
      disagreements: [
        ...allBut(unanswered, ['everywhere', 'nowhere']),
        ...unanswered.flatMap((each) => checkAsked(input, each)),
      ],
    },
  ]
}

function allBut(some: readonly Judged[], expected: readonly Fact[]): readonly string[] {
  return some.filter(({ fact }) => !expected.includes(fact)).map(({ words }) => words)
}

function split(some: readonly Judged[]): string {
  const count = (fact: Fact): number => some.filter((each) => each.fact === fact).length
  return `${count('everywhere')} in all of their databases, ${count('nowhere')} in none`
}

function whereIs(recorded: RecordedTransfer, databases: readonly Database[], fact: Fact): string {
  if (fact === 'nowhere') return 'nowhere'
  const found = databases.filter(({ ledger }) => ledger.has(recorded.transfer.id))
  const expected = recorded.transfer.parts.map(({ database }) => database)
  return `in ${found.map(({ name }) => name).join(', ')} of ${expected.join(', ')}`
}

/** `outcome()` must say what SQL says. */
function checkAsked(input: ProofInput, { recorded, fact }: Judged): readonly string[] {
  const id = recorded.answer === 'none' ? recorded.txid : recorded.answer.transactionId
  const answer = input.asked.get(id)
  const expected = fact === 'everywhere' ? 'committed' : 'aborted'
  if (answer?.outcome === expected) return []
  // A bare tx.id names no register: nothing found under it is all that can be said of an abort.
  if (expected === 'aborted' && !id.includes('.') && answer?.reason === 'not-found') return []
  const said = answer === undefined ? 'nothing' : `${answer.outcome} ${answer.reason}`.trim()
  return [`transfer ${recorded.transfer.id}: outcome(${id}) says ${said}, SQL says ${expected}`]
}

/** Every row belongs to a transfer that some worker wrote down before it began. */
function checkStrangers(input: ProofInput, databases: readonly Database[]): Check {
  const known = new Set(input.transfers.map(({ transfer }) => transfer.id))
  const rows = databases.reduce((sum, { ledger }) => sum + ledger.size, 0)
  return {
    promise: `${rows} ledger rows`,
    found: 'each of a transfer that a worker began',
    disagreements: databases.flatMap(({ name, ledger }) =>
      [...ledger.keys()]
        .filter((id) => !known.has(id))
        .map((id) => `${name}: nobody began transfer ${id}`),
    ),
  }
}

function checkMoney(input: ProofInput, databases: readonly Database[]): Check {
  const total = databases.reduce((sum, database) => sum + database.total, 0)
  const lost =
    total === input.openingTotal
      ? []
      : [`there were ${input.openingTotal} before, and there are ${total} now`]
  return {
    promise: `${input.openingTotal} in total before`,
    found: `${total} after, and every balance is what its ledger rows add up to`,
    disagreements: [...lost, ...databases.flatMap(({ wrongBalances }) => wrongBalances)],
  }
}

function checkLeftovers(databases: readonly Database[]): Check {
  return {
    promise: 'nothing left over',
    found: 'nothing prepared, no session open',
    disagreements: databases.flatMap(({ prepared, sessions }) => [...prepared, ...sessions]),
  }
}
