/**
 * Which check notices that an obligation was taken out of its ordering table.
 *
 * Owns: the list. An obligation that is not in it fails `machines.test.ts`, so a new row, or a new
 * fact, comes with its check.
 */
import { CLEANED, FAULT_BOUNDS, TOO_LATE, WATCHED } from './bounds.ts'
import type { Bounds } from './bounds.ts'
import type { PromiseName } from './promises.ts'

/** The promise that the exploration finds broken, and after how many steps at the least. */
export interface Found {
  readonly promise: PromiseName
  readonly steps: number
  readonly bounds: Bounds
}

export type Check =
  /** A witness state in `witnesses.ts`, from which the message leaves when the fact is not asked. */
  | 'table'
  /** A property in `properties.test.ts`. */
  | 'property'
  | Found

const TABLE = ['table'] as const
const found = (
  promise: PromiseName,
  steps: number,
  bounds: Bounds = FAULT_BOUNDS,
): readonly Check[] => ['table', { promise, steps, bounds }]

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
  // The model has one voter: nobody else can have a receipt.
  'recovery: look-for-receipts without “the register says abort”': TABLE,
  'recovery: look-for-receipts without “the register has no row”': TABLE,
  'recovery: rollback-prepared without “nothing contradicts the register”': ['table', 'property'],
  // Two questions for nothing, and no harm: 600,000 worlds keep every promise.
  'recovery: ask-receipt without “the branch was missing”': TABLE,
  'recovery: ask-register-again without “the receipt is absent”': found('no false alarm', 11),
  'recovery: alarm-lost-vote without “the register still says commit”': found('no false alarm', 7),
  // A receipt is only there once its decision is; and a row that is seen was voted for.
  'forgetting: read-receipt without “the decision is durably commit”': TABLE,
  // A question for nothing: 20,000 worlds keep every promise.
  'forgetting: ask-receipt without “the receipt was not seen”': TABLE,
  'forgetting: ask-register without “the receipt is absent”': found('no false alarm', 23, CLEANED),
  'forgetting: alarm-lost-vote without “the register still says commit”': found(
    'no false alarm',
    21,
    CLEANED,
  ),
  // Implied by the receipts, each of which is only read after it.
  'forgetting: settle without “the decision is durably commit”': TABLE,
  'forgetting: settle without “every receipt is durable”': found('remembered', 10, CLEANED),
  'forgetting: forget-receipt without “the decision is durably settled”': found(
    'no false alarm',
    16,
    CLEANED,
  ),
  // Implied by the receipts’ deletions, each of which waits for it.
  'forgetting: forget-decision without “the decision is durably settled”': TABLE,
  'forgetting: forget-decision without “every receipt is durably forgotten”': found(
    'no false report',
    23,
    CLEANED,
  ),
  'forgetting: forget-decision without “the epoch is durably unlisted”': found(
    'agreed',
    20,
    TOO_LATE,
  ),
  'witness: ask-register without “the receipt is durable”': found('no false report', 17, WATCHED),
  'witness: ask-receipt-again without “the register has no row”': found(
    'no false report',
    15,
    WATCHED,
  ),
  'witness: alarm-lost-decision without “the receipt is still there”': found(
    'no false report',
    2,
    WATCHED,
  ),
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
