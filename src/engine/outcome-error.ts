/**
 * The error that a caller gets, out of a machine's last state.
 *
 * Owns: the words of each error of the commit path, and the ledger at its end.
 * Promises: the outcome is the machine's; the cause is the first thing that went wrong.
 */
import { AssentError, assertNever, formatTransactionId } from '../protocol/index.ts'
import type { ErrorCode, Outcome, TransactionId, onePhase, twoPhase } from '../protocol/index.ts'

type Trouble = twoPhase.Trouble

export interface ErrorContext {
  readonly transactionId: string
  /** Whether an error of a participant means "run the transaction again". */
  readonly isRetryable: (participant: string, error: unknown) => boolean
}

/** What `transaction()` rejects with; undefined when it resolves. */
export function twoPhaseError(
  state: twoPhase.TwoPhaseState,
  id: TransactionId,
  isRetryable: ErrorContext['isRetryable'],
): AssentError | undefined {
  switch (state.told) {
    case 'committed':
      return lostVote(state, id)
    case 'aborted':
    case 'unknown': {
      const context = { transactionId: formatTransactionId(id), isRetryable, isMarked: true }
      const ledger = twoPhaseLedger(state, escaped(state.told, state.trouble))
      return failure(state.told, state.trouble, context, ledger)
    }
    case 'nothing':
      return undefined
    default:
      return assertNever(state.told)
  }
}

export function onePhaseError(
  state: onePhase.OnePhaseState,
  context: ErrorContext,
): AssentError | undefined {
  switch (state.told) {
    case 'committed':
    case 'nothing':
      return undefined
    case 'aborted':
    case 'unknown': {
      const ledger = onePhaseLedger(state, escaped(state.told, state.trouble))
      return failure(state.told, state.trouble, { ...context, isMarked: false }, ledger)
    }
    default:
      return assertNever(state.told)
  }
}

/**
 * The branch whose transaction was ended behind everybody's back, in one that is aborted. Nobody can
 * tell whether that was a ROLLBACK or a COMMIT of a part of the work, so nobody is told "aborted".
 */
function escaped(told: Outcome | 'nothing', trouble: readonly Trouble[]): string | undefined {
  if (told !== 'aborted') return undefined
  const found = trouble.find(
    ({ kind, cause }) =>
      kind === 'refused' &&
      cause instanceof AssentError &&
      cause.code === 'ASSENT_TRANSACTION_CONTROL' &&
      cause.outcome === 'unknown',
  )
  return found?.kind === 'refused' ? found.branch : undefined
}

function failure(
  outcome: Outcome,
  trouble: readonly Trouble[],
  context: ErrorContext & { readonly isMarked: boolean },
  ledger: string,
): AssentError {
  const branch = escaped(outcome, trouble)
  if (branch !== undefined) return escapedError(branch, trouble, context.transactionId, ledger)
  const [first] = trouble
  const end = sentence(outcome, context.isMarked)
  const told = { outcome, ledger, transactionId: context.transactionId }
  if (first === undefined) {
    return new AssentError({ ...told, code: 'ASSENT_UNCLEAR', message: end })
  }
  const { cause } = first
  if (first.kind === 'over') {
    const code: ErrorCode = cause instanceof AssentError ? cause.code : 'ASSENT_CANCELLED'
    const why = cause instanceof AssentError ? cause.message : 'The signal was aborted'
    return new AssentError({
      ...told,
      code,
      message: `${why}. ${end}`,
      cause: cause instanceof AssentError ? cause.cause : cause,
    })
  }
  const retryable =
    outcome === 'aborted' && (first.kind === 'unclear' || context.isRetryable(first.branch, cause))
  if (cause instanceof AssentError) {
    const { code, message } = cause
    const again = outcome === 'aborted' && cause.retryable
    return new AssentError({ ...told, code, message, retryable: again, cause: cause.cause })
  }
  const text = cause instanceof Error ? cause.message : String(cause)
  const isRefused = first.kind === 'refused'
  return new AssentError({
    ...told,
    code: isRefused ? 'ASSENT_REFUSED' : 'ASSENT_UNCLEAR',
    message: isRefused
      ? `${first.branch} refused: ${text}.${advice(first.branch, cause)} ${end}`
      : `The answer of ${first.branch} was lost: ${text}. ${end}`,
    retryable,
    cause,
  })
}

function escapedError(
  branch: string,
  trouble: readonly Trouble[],
  transactionId: string,
  ledger: string,
): AssentError {
  const { cause } = trouble.find((each) => each.kind === 'refused' && each.branch === branch) ?? {}
  const why = cause instanceof AssentError ? cause.message : String(cause)
  return new AssentError({
    code: 'ASSENT_TRANSACTION_CONTROL',
    outcome: 'unknown',
    transactionId,
    message:
      `${why}. If it was ended by a COMMIT, what was done in ${branch} before is durable there: look ` +
      `at your own rows. Nothing else is committed`,
    cause: cause instanceof AssentError ? cause.cause : cause,
    ledger,
  })
}

/** What PREPARE can't do, the decider need not do. */
function advice(branch: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === '0A000') {
    return ` A branch that can't be prepared can still decide: { decider: '${branch}' }.`
  }
  return ''
}

function sentence(outcome: Outcome, isMarked: boolean): string {
  switch (outcome) {
    case 'aborted':
      return 'Nothing is committed anywhere'
    case 'unknown':
      return isMarked
        ? 'Whether it committed is not known yet; recovery ends it the same way everywhere'
        : 'Whether it committed is not known, and no mark can tell (receipt: true writes one): look ' +
            'at your own rows'
    case 'committed':
      return 'It is committed'
    default:
      return assertNever(outcome)
  }
}

function lostVote(state: twoPhase.TwoPhaseState, id: TransactionId): AssentError | undefined {
  const lost = state.plan.voters.filter((voter) => state.ends[voter] === 'lost')
  if (lost.length === 0) return undefined
  return new AssentError({
    code: 'ASSENT_LOST_VOTE',
    outcome: 'committed',
    transactionId: formatTransactionId(id),
    message:
      `The transaction is committed, but ${lost.join(', ')} lost the work that it had promised to ` +
      `keep. Do that work again there by hand`,
    ledger: twoPhaseLedger(state),
  })
}

function twoPhaseLedger(state: twoPhase.TwoPhaseState, left?: string): string {
  const { decider, voters, readers } = state.plan
  const isAborted = state.decision === 'abandoned' || state.decision === 'abort'
  const decided = state.decision === 'commit' ? 'committed' : isAborted ? 'rolled back' : 'unknown'
  return [
    `${decider}: ${left === decider ? 'unknown' : decided} (decider)`,
    ...voters.map((voter) => `${voter}: ${voter === left ? 'unknown' : voterWord(state, voter)}`),
    ...readers.map((reader) => `${reader}: only read`),
  ].join(' · ')
}

function voterWord(state: twoPhase.TwoPhaseState, voter: string): string {
  const end = state.ends[voter]
  if (end === 'lost') return 'lost'
  if (end === 'done') return state.decision === 'commit' ? 'committed' : 'rolled back'
  const vote = state.votes[voter] ?? 'unsent'
  switch (vote) {
    case 'yes':
      return 'prepared, recovery will apply the outcome'
    case 'sent':
    case 'unknown':
      return 'maybe prepared, recovery will apply the outcome'
    case 'unsent':
    case 'no':
      return 'rolled back'
    default:
      return assertNever(vote)
  }
}

function onePhaseLedger(state: onePhase.OnePhaseState, left?: string): string {
  const [writer] = state.plan.writers
  const readers = state.plan.readers.map((reader) => `${reader}: only read`)
  if (writer === undefined) return readers.join(' · ')
  const isOpen = state.commit === 'unknown' || state.commit === 'sent' || writer === left
  return [`${writer}: ${isOpen ? 'unknown' : 'rolled back'}`, ...readers].join(' · ')
}
