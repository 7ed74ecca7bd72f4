/**
 * Which check notices that an obligation was taken out of its ordering table.
 *
 * Owns: the list. An obligation that is not in it fails `machines.test.ts`, so a new row, or a new
 * fact, comes with its check.
 */
import type { PromiseName } from './promises.ts'

/** The promise that the exploration finds broken, and after how many steps at the least. */
export interface Found {
  readonly promise: PromiseName
  readonly steps: number
}

export type Check =
  /** A witness state in `witnesses.ts`, from which the message leaves when the fact is not asked. */
  | 'table'
  /** A property in `properties.test.ts`. */
  | 'property'
  | Found

const TABLE = ['table'] as const
const found = (promise: PromiseName, steps: number): readonly Check[] => [
  'table',
  { promise, steps },
]

export const CHECKED_BY: Readonly<Record<string, readonly Check[]>> = {
  // Harmless, but for a claim or a vote that is rolled back at once.
  'two-phase: claim without “nothing speaks against commit”': TABLE,
  'two-phase: vote without “nothing speaks against commit”': TABLE,
  // The model has no readers.
  'two-phase: commit-reader without “the claim is acknowledged”': TABLE,
  'two-phase: commit-reader without “nothing speaks against commit”': TABLE,
  'two-phase: decide without “every reader has committed”': ['table', 'property'],
  'two-phase: vote without “the claim is acknowledged”': found('atomic', 11),
  // Implied by the votes, each of which waits for the claim.
  'two-phase: decide without “the claim is acknowledged”': TABLE,
  'two-phase: decide without “every voter is prepared”': found('atomic', 5),
  // Out of reach with one voter: what speaks against commit there also keeps a vote from being yes.
  'two-phase: decide without “nothing speaks against commit”': TABLE,
  'two-phase: ask without “the answer to COMMIT was lost”': found('ends', 6),
  // Nobody is told anything by it; the scans ask the same.
  'two-phase: ask without “the caller waits”': TABLE,
  'two-phase: apply without “commit is durable”': found('atomic', 8),
  'two-phase: undo without “commit is impossible”': found('useful', 9),
  'two-phase: undo without “the branch has answered”': found('applied', 9),
  'two-phase: tell-committed without “commit is durable”': found('told', 1),
  'two-phase: tell-committed without “the end is applied or not waited for”': found('patient', 9),
  'two-phase: tell-aborted without “commit is impossible”': found('told', 8),
  'two-phase: tell-aborted without “the end is applied or not waited for”': found('patient', 3),
  // Out of reach: whatever else is true when waiting is over can be told by its own row first.
  'two-phase: tell-unknown without “the outcome is not known”': TABLE,
  'two-phase: tell-unknown without “waiting is over”': found('patient', 6),
  'recovery: commit-prepared without “the register says commit”': found('atomic', 9),
  'recovery: rollback-prepared without “the register says abort”': found('atomic', 10),
  // Two questions for nothing, and no harm: 600,000 worlds keep every promise.
  'recovery: ask-receipt without “the branch was missing”': TABLE,
  'recovery: ask-register-again without “the receipt is absent”': found('no false alarm', 11),
  'recovery: alarm-lost-vote without “the register still says commit”': found('no false alarm', 7),
  'one-phase: commit-reader without “nothing speaks against commit”': TABLE,
  'one-phase: commit without “every reader has committed”': TABLE,
  'one-phase: commit without “nothing speaks against commit”': TABLE,
  'one-phase: undo without “commit is impossible”': TABLE,
  'one-phase: tell without “the outcome is settled”': TABLE,
}

/** What the exploration finds, by the name of the obligation. */
export const FOUND: readonly (readonly [string, Found])[] = Object.entries(CHECKED_BY).flatMap(
  ([name, checks]) =>
    checks.flatMap((check) => (typeof check === 'string' ? [] : [[name, check] as const])),
)
