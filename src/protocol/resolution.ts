/**
 * Whether a person may decide a transaction by hand: the last resort for branches that nothing else
 * will ever end.
 *
 * Owns: what must be known first, and why a wish is refused.
 * Promises: nothing that a register or a receipt says is ever contradicted; what recovery can still
 * end safely is left to it; where the register answers, it stays the arbiter.
 * Never: takes age, or silence of a register that was not called lost, for a reason.
 *
 * The interleavings that this has to survive. R is the register, S holds the prepared branch.
 *   1. Two operators: A wishes commit, B abort. Both insert under the txid's key in R; the second waits
 *      for the first, finds its row, and is told to obey it (`decided`).
 *   2. The owner still lives. Its claim holds the key in R: the operator waits, and is refused
 *      (`running`). It claims later: its epoch is not listed (or its key is taken), so its claim fails.
 *   3. A recoverer asks R while the operator's row is not committed: it waits for the key, and hears
 *      `running`. Afterwards it finds the row, whose COMMIT it makes durable by its own, and obeys.
 *   4. The operator dies after R's COMMIT: the row stands, and any recoverer ends the branches by it.
 *      Before it: nothing was decided. Decision and audit record are one transaction.
 *   5. R was lost, a branch was ended by hand in S, and R comes back with the other decision. Committed by
 *      hand: S has a receipt whose decision R lacks, which the witness reports (lost decision).
 *      Aborted by hand: R has a decision, and S neither branch nor receipt, which forgetting reports
 *      (lost vote), and deletes nothing. `assent list` and `show` compare R with the records in S at
 *      once.
 *   6. R answers only sometimes: an operator with `--register-lost` ends S while a recoverer hears R's
 *      row. Both end the same branch, and only one of them can. It comes down to 5.
 *   7. A receipt appears after it was looked for: whoever applies a commit has heard it from R before.
 *      While R has no row, only an owner that was paused since its own COMMIT still knows of it;
 *      so the operator is told to be sure that no process still works on the transaction.
 */
import { assertNever, conclude, meaningOf } from './answers.ts'
import type { AskAnswer } from './answers.ts'

export type Wish = 'commit' | 'abort'

export interface ResolutionFacts {
  readonly wish: Wish
  readonly register: AskAnswer | { readonly answer: 'not-configured' }
  /** Whether the operator says that the register will not come back as it was. */
  readonly registerIs: 'expected' | 'called lost'
  /** Participants other than the register where the transaction has applied its part. */
  readonly receipts: readonly string[]
  /** Whether the register's memory of the epoch is contradicted by a receipt, of this or another transaction. */
  readonly memory: 'as it says' | 'contradicted'
  /** Participants other than the register whose marks could not be read. */
  readonly unread: readonly string[]
  /** Branches that are prepared, by participant's name. */
  readonly prepared: readonly string[]
  /** Whether the role that connects may end all of them. */
  readonly ends: 'allowed' | 'of another owner'
  /** Whether one of these is the decider's own, which is the decision itself. */
  readonly decider: 'prepared' | 'not prepared'
}

export type Refusal =
  | 'nothing-prepared'
  | 'decider-prepared'
  | 'not-owner'
  | 'receipt-found'
  | 'participant-unread'
  /** The register has decided: recovery obeys it. */
  | 'decided-commit'
  | 'decided-abort'
  /** No row, and its epoch is remembered: an abort, which recovery knows without a person. */
  | 'remembered'
  /** The same, and a participant has applied this one, or another of its epoch: the register was set back. */
  | 'contradicted'
  | 'running'
  | 'register-silent'

export type ResolutionPlan =
  /** Writes the decision into the register, then ends the branches. */
  | { readonly plan: 'decide-there' }
  /** Ends the branches, with nothing but a record beside each. */
  | { readonly plan: 'without-register' }
  | { readonly plan: 'refuse'; readonly why: Refusal }

export function planResolution(facts: ResolutionFacts): ResolutionPlan {
  const why = refusalOf(facts)
  if (why !== undefined) return { plan: 'refuse', why }
  return isSilent(facts.register) ? { plan: 'without-register' } : { plan: 'decide-there' }
}

function refusalOf(facts: ResolutionFacts): Refusal | undefined {
  if (facts.prepared.length === 0) return 'nothing-prepared'
  if (facts.decider === 'prepared') return 'decider-prepared'
  if (facts.ends === 'of another owner') return 'not-owner'
  const said = registerRefusal(facts)
  if (said !== undefined) return said
  if (facts.wish === 'abort' && facts.receipts.length > 0) return 'receipt-found'
  // A receipt that can't be read may say the opposite.
  return facts.unread.length > 0 ? 'participant-unread' : undefined
}

function registerRefusal({ register, registerIs, memory }: ResolutionFacts): Refusal | undefined {
  if (register.answer === 'not-configured' || register.answer === 'unknown') {
    return registerIs === 'called lost' ? undefined : 'register-silent'
  }
  if (register.answer === 'found') return `decided-${meaningOf(register.decision)}`
  const concluded = conclude(register)
  switch (concluded) {
    case 'abort':
      return memory === 'contradicted' ? 'contradicted' : 'remembered'
    case 'running':
      return 'running'
    case 'held':
      return undefined
    case 'commit':
      return 'decided-commit'
    case 'unclear':
      return 'register-silent'
    default:
      return assertNever(concluded)
  }
}

function isSilent({ answer }: ResolutionFacts['register']): boolean {
  return answer === 'unknown' || answer === 'not-configured'
}
