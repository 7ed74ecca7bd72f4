/**
 * Recovery of one prepared branch, by any process that sees it listed.
 *
 * Owns: what a recoverer asks, in which order, and what it may do with the answers.
 * Promises: a branch ends only by obeying its register; and it is not rolled back for want of a row while
 * another participant is seen to have applied the transaction. What can't be settled now ends the round
 * with a reason, and the next scan starts a new one.
 * Never: uses age, silence or an unclear answer as a reason to end a branch.
 */
import { assertNever, conclude } from './answers.ts'
import type { AskAnswer, Conclusion, EndAnswer } from './answers.ts'
import { mayLeave } from './machine.ts'
import { RECOVERY_ORDERING } from './ordering.ts'
import type { RecoveryFact, RecoveryMessage, Table } from './ordering.ts'

type Knowledge = 'unasked' | 'asking' | Conclusion

export interface RecoveryState {
  readonly role: 'voter' | 'decider'
  readonly register: Knowledge
  /** Whether the register's answer was a row that it has. */
  readonly row: 'unasked' | 'found' | 'none'
  /** Whether another participant is seen to have the receipt, or that of another lost decision of its epoch. */
  readonly elsewhere: 'unasked' | 'looking' | 'no receipt' | 'receipt'
  readonly ending: 'unsent' | 'commit sent' | 'rollback sent' | EndAnswer['answer']
  /** Which end was sent, once one was. */
  readonly obeyed: 'nothing' | 'commit' | 'abort'
  readonly receipt: 'unasked' | 'asking' | 'found' | 'absent' | 'waits' | 'unclear'
  readonly registerAgain: Knowledge | 'gone' | 'settled'
  readonly verdict: Verdict | 'open'
}

/** How a round of recovery ended. */
export type Verdict =
  | 'committed'
  | 'rolled-back'
  /** The register says commit, and this participant has neither the branch nor its receipt. */
  | 'lost-vote'
  /** The register remembers the epoch, and lost a row that it had: it was set back. */
  | 'lost-decision'
  /**
   * The register has no row and remembers the epoch, which means abort; and another participant has a
   * receipt of that epoch without its decision, which is only there behind a commit. One of them was set
   * back: a person must look.
   */
  | 'contradicted'
  /** Somebody else has rolled it back, as the register says. */
  | 'gone'
  /**
   * The register said commit, and then neither branch, receipt nor decision was there. What was
   * settled long ago looks so; for a transaction that is just ending, its databases were set back.
   */
  | 'forgotten'
  /** Still in doubt; the next scan tries again. */
  | 'running'
  | 'held'
  | 'register-unclear'
  | 'branch-unclear'

export type RecoveryEvent =
  | { readonly type: 'start' }
  | { readonly type: 'register-asked'; readonly answer: AskAnswer }
  | { readonly type: 'receipts-looked-for'; readonly answer: 'no receipt' | 'receipt' }
  | { readonly type: 'ended'; readonly answer: EndAnswer }
  | { readonly type: 'receipt-asked'; readonly answer: AskAnswer }

export interface RecoveryStep {
  readonly state: RecoveryState
  readonly effects: readonly RecoveryMessage[]
}

export const LISTED: RecoveryState = {
  role: 'voter',
  register: 'unasked',
  row: 'unasked',
  elsewhere: 'unasked',
  ending: 'unsent',
  obeyed: 'nothing',
  receipt: 'unasked',
  registerAgain: 'unasked',
  verdict: 'open',
}

/**
 * A decider that is found prepared: it is prepared as the first half of its COMMIT, which was sent after
 * every vote (MySQL and MariaDB: see `systems/mysql/branch.ts`). So it is the decision itself: there is
 * nothing to ask, and it is never rolled back.
 */
export const DECIDER_LISTED: RecoveryState = { ...LISTED, role: 'decider', register: 'commit' }

export function step(
  before: RecoveryState,
  event: RecoveryEvent,
  ordering: Table<RecoveryMessage, RecoveryFact> = RECOVERY_ORDERING,
): RecoveryStep {
  return send(learn(before, event), ordering)
}

function learn(state: RecoveryState, event: RecoveryEvent): RecoveryState {
  switch (event.type) {
    case 'start':
      return state
    case 'register-asked': {
      if (state.registerAgain !== 'asking') {
        const row = event.answer.answer === 'found' ? 'found' : 'none'
        return { ...state, register: conclude(event.answer), row }
      }
      return { ...state, registerAgain: readAgain(event.answer) }
    }
    case 'receipts-looked-for':
      return { ...state, elsewhere: event.answer }
    case 'ended':
      return { ...state, ending: event.answer.answer }
    case 'receipt-asked':
      return { ...state, receipt: readReceipt(event.answer) }
    default:
      return assertNever(event)
  }
}

/** The second time it matters whether the row was settled: whoever settles has seen the receipt. */
function readAgain(asked: AskAnswer): RecoveryState['registerAgain'] {
  if (asked.answer === 'found' && asked.decision === 'settled') return 'settled'
  const isForgotten = asked.answer === 'absent' && asked.memory === 'forgotten'
  return isForgotten ? 'gone' : conclude(asked)
}

/** A receipt is only present or not: its epoch's memory plays no part (that is the register's). */
function readReceipt(asked: AskAnswer): RecoveryState['receipt'] {
  return asked.answer === 'unknown' ? 'unclear' : asked.answer
}

function send(state: RecoveryState, ordering: Table<RecoveryMessage, RecoveryFact>): RecoveryStep {
  const may = (message: RecoveryMessage): boolean =>
    mayLeave(ordering, message, holds, state, undefined)
  if (state.verdict !== 'open') return { state, effects: [] }
  if (state.register === 'unasked' && may('ask-register')) {
    return { state: { ...state, register: 'asking' }, effects: ['ask-register'] }
  }
  if (state.ending === 'unsent' && may('commit-prepared')) {
    const next = { ...state, ending: 'commit sent', obeyed: 'commit' } as const
    return { state: next, effects: ['commit-prepared'] }
  }
  if (state.elsewhere === 'unasked' && may('look-for-receipts')) {
    return { state: { ...state, elsewhere: 'looking' }, effects: ['look-for-receipts'] }
  }
  if (state.ending === 'unsent' && may('rollback-prepared')) {
    const next = { ...state, ending: 'rollback sent', obeyed: 'abort' } as const
    return { state: next, effects: ['rollback-prepared'] }
  }
  if (state.receipt === 'unasked' && may('ask-receipt')) {
    return { state: { ...state, receipt: 'asking' }, effects: ['ask-receipt'] }
  }
  if (state.registerAgain === 'unasked' && may('ask-register-again')) {
    return { state: { ...state, registerAgain: 'asking' }, effects: ['ask-register-again'] }
  }
  if (may('alarm-lost-vote')) {
    return { state: { ...state, verdict: 'lost-vote' }, effects: ['alarm-lost-vote'] }
  }
  return { state: { ...state, verdict: verdict(state) }, effects: [] }
}

function holds(fact: RecoveryFact, state: RecoveryState): boolean {
  switch (fact) {
    case 'the register says commit':
      return state.register === 'commit'
    case 'the register says abort':
      return state.register === 'abort'
    case 'the register has no row':
      return state.row === 'none'
    case 'nothing contradicts the register':
      // Only an abort that rests on a missing row can be wrong.
      return state.register !== 'abort' || state.row !== 'none' || state.elsewhere === 'no receipt'
    case 'the branch was missing':
      return state.role === 'voter' && state.obeyed === 'commit' && state.ending === 'missing'
    case 'the receipt is absent':
      return state.receipt === 'absent'
    case 'the register still says commit':
      return state.registerAgain === 'commit'
    default:
      return assertNever(fact)
  }
}

/** What follows when nothing more may be sent and no answer is awaited. */
function verdict(state: RecoveryState): Verdict | 'open' {
  switch (state.register) {
    case 'unasked':
    case 'asking':
      return 'open'
    case 'running':
      return 'running'
    case 'held':
      return 'held'
    case 'unclear':
      return 'register-unclear'
    case 'abort':
      if (state.elsewhere === 'receipt') return 'contradicted'
      return endedVerdict(state, 'rolled-back')
    case 'commit':
      return endedVerdict(state, 'committed')
    default:
      return assertNever(state.register)
  }
}

function endedVerdict(state: RecoveryState, done: 'rolled-back' | 'committed'): Verdict | 'open' {
  switch (state.ending) {
    case 'unsent':
    case 'commit sent':
    case 'rollback sent':
      return 'open'
    case 'done':
      return done
    case 'unknown':
      return 'branch-unclear'
    case 'missing':
      // Somebody else found it too, and nobody rolls a decider back.
      if (state.role === 'decider') return 'committed'
      // Safe: an abort that the register proved stays one, so whoever ended it rolled it back.
      return state.obeyed === 'abort' ? 'gone' : receiptVerdict(state)
    default:
      return assertNever(state.ending)
  }
}

function receiptVerdict(state: RecoveryState): Verdict | 'open' {
  switch (state.receipt) {
    case 'unasked':
    case 'asking':
      return 'open'
    case 'found':
      return 'committed'
    case 'waits':
    case 'unclear':
      return 'branch-unclear'
    case 'absent':
      return absentVerdict(state)
    default:
      return assertNever(state.receipt)
  }
}

/** Neither branch nor receipt: what the register says afterwards tells why. */
function absentVerdict({ registerAgain }: RecoveryState): Verdict | 'open' {
  switch (registerAgain) {
    case 'unasked':
    case 'asking':
      return 'open'
    case 'settled':
      return 'committed'
    case 'gone':
      return 'forgotten'
    // A row goes only after its epoch has gone from the list.
    case 'abort':
      return 'lost-decision'
    case 'commit':
    case 'running':
    case 'held':
    case 'unclear':
      return 'register-unclear'
    default:
      return assertNever(registerAgain)
  }
}
