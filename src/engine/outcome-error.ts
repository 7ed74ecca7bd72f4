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
  /** What every id of it can be told by. */
  readonly txid: string
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
      const context = {
        transactionId: formatTransactionId(id),
        txid: id.txid,
        isRetryable,
        isMarked: true,
      }
      return failure(state.told, state.trouble, context, (left) => twoPhaseLedger(state, left))
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
      const unmarked = { ...context, isMarked: false }
      return failure(state.told, state.trouble, unmarked, (left) => onePhaseLedger(state, left))
    }
    default:
      return assertNever(state.told)
  }
}

/**
 * The branches whose transactions were ended behind everybody's back, in one that is aborted. Nobody
 * can tell whether by a ROLLBACK or by a COMMIT of a part of the work, so nobody is told "aborted".
 */
function escaped(told: Outcome, trouble: readonly Trouble[]): readonly string[] {
  if (told !== 'aborted') return []
  return trouble.flatMap((each) => (hasEscaped(each) ? [each.branch] : []))
}

function hasEscaped(trouble: Trouble): trouble is Extract<Trouble, { kind: 'refused' }> {
  const { kind, cause } = trouble
  const isAssents = kind === 'refused' && cause instanceof AssentError
  return isAssents && cause.code === 'ASSENT_TRANSACTION_CONTROL' && cause.outcome === 'unknown'
}

function failure(
  outcome: Outcome,
  trouble: readonly Trouble[],
  context: ErrorContext & { readonly isMarked: boolean },
  ledgerOf: (escaped: readonly string[]) => string,
): AssentError {
  const branches = escaped(outcome, trouble)
  const ledger = ledgerOf(branches)
  if (branches.length > 0) return escapedError(branches, trouble, context.txid, ledger)
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

/** With the id that names no register: of a branch's own rows that one knows nothing. */
function escapedError(
  branches: readonly string[],
  trouble: readonly Trouble[],
  txid: string,
  ledger: string,
): AssentError {
  const cause = trouble.find(hasEscaped)?.cause
  const why = cause instanceof AssentError ? cause.message : String(cause)
  return new AssentError({
    code: 'ASSENT_TRANSACTION_CONTROL',
    outcome: 'unknown',
    transactionId: txid,
    message:
      `${why}. If it was ended by a COMMIT, what was done in ${branches.join(' and ')} before is ` +
      `durable there: look at your own rows. Assent commits nothing else`,
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

function twoPhaseLedger(state: twoPhase.TwoPhaseState, left: readonly string[] = []): string {
  const { decider, voters, readers } = state.plan
  const isAborted = state.decision === 'abandoned' || state.decision === 'abort'
  const decided = state.decision === 'commit' ? 'committed' : isAborted ? 'rolled back' : 'unknown'
  return [
    `${decider}: ${left.includes(decider) ? 'unknown' : decided} (decider)`,
    ...voters.map((voter) =>
      left.includes(voter) ? `${voter}: unknown` : `${voter}: ${voterWord(state, voter)}`,
    ),
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

function onePhaseLedger(state: onePhase.OnePhaseState, left: readonly string[]): string {
  const [writer] = state.plan.writers
  const readers = state.plan.readers.map((reader) => `${reader}: only read`)
  if (writer === undefined) return readers.join(' · ')
  const isOpen = state.commit === 'unknown' || state.commit === 'sent' || left.includes(writer)
  return [`${writer}: ${isOpen ? 'unknown' : 'rolled back'}`, ...readers].join(' · ')
}
