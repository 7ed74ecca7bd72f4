/**
 * Every error that Assent throws, from one table of codes.
 *
 * Owns: the codes, what each means and what to do; the error class.
 * Promises: an error tells what happened to the money (`outcome`) and never guesses: `aborted` only
 * when the transaction can never commit, `committed` only when it is durable, otherwise `unknown`.
 * Never: carries a password or a parameter's value in its message.
 */

/** What became of a transaction. `unknown` is an answer of its own, never a polite "failed". */
export type Outcome = 'committed' | 'aborted' | 'unknown'

interface CodeFacts {
  readonly meaning: string
  readonly advice: string
}

/** The table of codes. `docs/errors.md` is compared with it by a test. */
export const ERROR_CODES = {
  ASSENT_ABORTED: {
    meaning: 'The user’s function ended the transaction with `throw tx.abort(reason)`.',
    advice: 'Nothing: everything was rolled back, as asked.',
  },
  ASSENT_TIMEOUT: {
    meaning: 'The transaction’s `timeoutMs` ran out.',
    advice: 'If the outcome is `unknown`, ask `assent.outcome(error.transactionId)`.',
  },
  ASSENT_CANCELLED: {
    meaning: 'The transaction’s `signal` was aborted.',
    advice: 'If the outcome is `unknown`, ask `assent.outcome(error.transactionId)`.',
  },
  ASSENT_REFUSED: {
    meaning: 'A database refused to go on: at the claim, the vote or the commit.',
    advice: 'Look at `cause`. When `retryable`, run the transaction again (or set `retry`).',
  },
  ASSENT_UNCLEAR: {
    meaning: 'A database’s answer was lost on the way.',
    advice: 'If the outcome is `unknown`, ask `assent.outcome(error.transactionId)`.',
  },
  ASSENT_LOST_VOTE: {
    meaning: 'A database lost a branch it had promised to keep; the others have committed.',
    advice: 'Repair by hand: its work must be done again. See docs/concepts/what-can-go-wrong.md.',
  },
  ASSENT_TRANSACTION_CONTROL: {
    meaning: 'A statement inside a branch tried to begin, commit, prepare or end a transaction.',
    advice: 'Leave that to `transaction()`; use SAVEPOINT and ROLLBACK TO inside it.',
  },
  ASSENT_BRANCH_ENDED: {
    meaning: 'A handle was used after its transaction had ended, or was about to.',
    advice: 'Await every statement inside the function given to `transaction()`.',
  },
  ASSENT_SWALLOWED_ERROR: {
    meaning: 'A statement failed, the error was caught, and the transaction went on.',
    advice: 'Rethrow the error, or run the statement under a SAVEPOINT and ROLLBACK TO it.',
  },
  ASSENT_CANNOT_PREPARE: {
    meaning: 'Two or more databases wrote that can’t keep a prepared transaction.',
    advice: 'Set max_prepared_transactions on all of them but one, or declare one in `reads`.',
  },
  ASSENT_SAME_DATABASE: {
    meaning: 'Two participants are the same database.',
    advice: 'Configure it once; one branch can use all of its schemas.',
  },
  ASSENT_NAME: {
    meaning: 'A name can’t be part of a transaction’s id.',
    advice: 'Use letters, digits, _ and -, and keep the names short.',
  },
  ASSENT_UNKNOWN_PARTICIPANT: {
    meaning: 'A participant was named that is not configured.',
    advice: 'Use one of the names given to createAssent().',
  },
  ASSENT_OPTION: {
    meaning: 'An option is unknown or has a wrong value.',
    advice: 'The message says what was given and what is expected.',
  },
  ASSENT_ID: {
    meaning: 'A transaction id can’t be read.',
    advice: 'Give `error.transactionId` or `tx.id` as it is.',
  },
  ASSENT_UNREACHABLE: {
    meaning: 'A database could not be reached, or its pool had no free connection in time.',
    advice: 'Check that it runs, its address and the pool’s `max`; then run again.',
  },
  ASSENT_CREDENTIALS: {
    meaning: 'A database refused the user, the password or the database’s name.',
    advice: 'Check what the pool is configured with.',
  },
  ASSENT_POOLER: {
    meaning: 'The connections that Assent keeps for itself lead through a pooler or proxy.',
    advice: 'Give them a direct address: `pg(pool, { recovery: { connectionString } })`.',
  },
  ASSENT_REPLICA: {
    meaning: 'The database is a read-only replica.',
    advice: 'Connect to the primary, or declare the participant in `reads`.',
  },
  ASSENT_NOT_DURABLE: {
    meaning: 'The database would not keep what it promises over a crash.',
    advice: 'Change the setting that the message names.',
  },
  ASSENT_SCHEMA_MISSING: {
    meaning: 'Assent’s tables are missing and could not be created.',
    advice: 'Run the SQL of `assent.migrate({ print: true })` as a role that may create them.',
  },
  ASSENT_SCHEMA_VERSION: {
    meaning: 'Assent’s tables are of another version, or were changed.',
    advice: 'Run the version of Assent that the message names, or migrate.',
  },
  ASSENT_PRIVILEGE: {
    meaning: 'The pool’s role lacks a privilege that two-phase commit needs.',
    advice: 'Grant what the message names.',
  },
  ASSENT_STALE_EPOCH: {
    meaning: 'The decider’s server changed (fail-over or restore) since its epoch was last read.',
    advice: 'Run the transaction again: the next one reads the epoch anew.',
  },
  ASSENT_UNSUPPORTED: {
    meaning: 'The database’s version or the driver can’t do what Assent needs.',
    advice: 'Use what the message names.',
  },
  ASSENT_CLOSED: {
    meaning: 'The Assent object was closed.',
    advice: 'Create one for the life of the process and close it last.',
  },
  ASSENT_CRASHED: {
    meaning: 'A test crashed the transaction here, with `crashing()` of `assent/testing`.',
    advice: 'Let another Assent object of the same app recover, and look at your own rows.',
  },
  ASSENT_INVARIANT: {
    meaning: 'Something that must be impossible happened: a bug in Assent or its environment.',
    advice: 'Report it. The transaction was left to recovery.',
  },
} as const satisfies Record<string, CodeFacts>

/** The `code` of an AssentError: a name of the table above. */
export type ErrorCode = keyof typeof ERROR_CODES

export interface AssentErrorFacts {
  readonly code: ErrorCode
  readonly outcome: Outcome
  readonly message: string
  /** Whether running the whole transaction again may help. Default: false. */
  readonly retryable?: boolean
  readonly transactionId?: string | undefined
  /** What became of each branch, as `orders: committed (decider) · stock: prepared, …`. */
  readonly ledger?: string | undefined
  readonly cause?: unknown
}

const BRAND = Symbol.for('assent.error')

/**
 * The one class of errors that Assent throws. Match on `code` and `outcome`.
 *
 * @example
 * ```ts
 * import { AssentError } from 'assent'
 *
 * export function explain(error: unknown): string {
 *   return error instanceof AssentError ? `${error.code}: ${error.outcome}` : String(error)
 * }
 * ```
 */
export class AssentError extends Error {
  readonly code: ErrorCode
  /** What became of the transaction. */
  readonly outcome: Outcome
  /** Whether running the whole transaction again may help. */
  readonly retryable: boolean
  /** Can be given to `assent.outcome()`. */
  readonly transactionId: string | undefined

  constructor(facts: AssentErrorFacts) {
    const ledger = facts.ledger === undefined ? '' : ` [${facts.ledger}]`
    super(facts.message + ledger, facts.cause === undefined ? {} : { cause: facts.cause })
    this.name = 'AssentError'
    this.code = facts.code
    this.outcome = facts.outcome
    this.retryable = facts.retryable ?? false
    this.transactionId = facts.transactionId
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** True for errors of another copy of this package too. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value
  }
}

/**
 * Asserts what must be true. Stays on in production: it stops the one transaction and leaves it to
 * recovery, which can only obey the register.
 */
export function invariant(condition: boolean, impossible: string): asserts condition {
  if (condition) return
  throw new AssentError({
    code: 'ASSENT_INVARIANT',
    outcome: 'unknown',
    message: `Impossible: ${impossible}.`,
  })
}
