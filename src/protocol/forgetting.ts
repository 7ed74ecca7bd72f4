/**
 * Forgetting one transaction that is over, by any process.
 *
 * Owns: what must be known of a decision and of its receipts before any of them is deleted.
 * Promises: nothing is deleted that a prepared branch could still need; a lost vote is told, never
 * cleaned away; whoever stops in the middle leaves something from which anybody can go on.
 * Never: believes a list of prepared branches. An empty one may be seen before it is durable.
 *
 *   register          each participant of the row
 *   read: commit
 *                     read: its receipt is there
 *   commit → settled
 *                     delete the receipt
 *   delete            (once the epoch is unlisted)
 */
import { assertNever } from './answers.ts'
import type { AskAnswer } from './answers.ts'
import { each, every, mayLeave } from './machine.ts'
import { FORGETTING_ORDERING } from './ordering.ts'
import type { ForgettingFact, ForgettingMessage, Table } from './ordering.ts'

/** What is known of one participant's receipt. */
type Receipt =
  | 'unread'
  | 'reading'
  | 'durable'
  | 'not seen'
  | 'asking'
  /** Its branch is still prepared. */
  | 'waits'
  | 'absent'
  | 'unclear'

/** A deletion, and whether its COMMIT was acknowledged. */
type Deletion = 'unsent' | 'sent' | 'done' | 'unclear'

export interface ForgettingState {
  readonly decision: 'unread' | 'reading' | 'commit' | 'settling' | 'settled' | 'gone' | 'unclear'
  readonly epoch: 'listed' | 'unlisted'
  readonly receipts: Readonly<Record<string, Receipt>>
  /** Asked because of an absent receipt. */
  readonly registerAgain: 'unasked' | 'asking' | 'commit' | 'moved on' | 'unclear'
  readonly deletedReceipts: Readonly<Record<string, Deletion>>
  readonly deletedDecision: Deletion
  readonly verdict: ForgettingVerdict | 'open'
}

export type ForgettingVerdict =
  | 'forgotten'
  /** Its receipts are deleted; its epoch is still listed. */
  | 'settled'
  /** A branch is still prepared. */
  | 'not yet'
  | 'lost-vote'
  /** Something was not answered, or somebody else was faster: the next pass goes on. */
  | 'unclear'

/** What reading, or settling, a row answered; only after an acknowledged COMMIT. */
export type DecisionReading =
  | {
      readonly answer: 'found'
      readonly decision: 'commit' | 'settled'
      readonly epoch: 'listed' | 'unlisted'
    }
  | { readonly answer: 'gone' }
  | { readonly answer: 'unknown' }

export type ForgettingEvent =
  | { readonly type: 'start' }
  | { readonly type: 'decision-read'; readonly reading: DecisionReading }
  | {
      readonly type: 'receipt-read'
      readonly participant: string
      readonly answer: 'found' | 'not seen' | 'unknown'
    }
  | { readonly type: 'receipt-asked'; readonly participant: string; readonly answer: AskAnswer }
  | { readonly type: 'register-asked'; readonly answer: AskAnswer }
  | { readonly type: 'settled'; readonly answer: 'done' | 'unknown' }
  | {
      readonly type: 'receipt-forgotten'
      readonly participant: string
      readonly answer: 'done' | 'unknown'
    }
  | { readonly type: 'decision-forgotten'; readonly answer: 'done' | 'unknown' }

export type ForgettingEffect =
  | { readonly send: 'read-decision' | 'ask-register' | 'settle' | 'forget-decision' }
  | {
      readonly send: 'read-receipt' | 'ask-receipt' | 'forget-receipt'
      readonly participant: string
    }
  | { readonly send: 'alarm-lost-vote'; readonly participant: string }

export interface ForgettingStep {
  readonly state: ForgettingState
  readonly effects: readonly ForgettingEffect[]
}

/** `participants`: those that the row lists, without the register itself. */
export function begin(participants: readonly string[]): ForgettingState {
  return {
    decision: 'unread',
    epoch: 'listed',
    receipts: each(participants, 'unread'),
    registerAgain: 'unasked',
    deletedReceipts: each(participants, 'unsent'),
    deletedDecision: 'unsent',
    verdict: 'open',
  }
}

export function step(
  before: ForgettingState,
  event: ForgettingEvent,
  ordering: Table<ForgettingMessage, ForgettingFact> = FORGETTING_ORDERING,
): ForgettingStep {
  return send(learn(before, event), ordering)
}

// --- what an answer teaches -------------------------------------------------------------------

function learn(state: ForgettingState, event: ForgettingEvent): ForgettingState {
  switch (event.type) {
    case 'start':
      return state
    case 'decision-read':
      return learnDecision(state, event.reading)
    case 'receipt-read':
      return withReceipt(state, event.participant, READ[event.answer])
    case 'receipt-asked':
      return withReceipt(state, event.participant, readReceipt(event.answer))
    case 'register-asked':
      return { ...state, registerAgain: readRegister(event.answer) }
    case 'settled':
      return { ...state, decision: event.answer === 'done' ? 'settled' : 'unclear' }
    case 'receipt-forgotten': {
      const answer = event.answer === 'done' ? 'done' : 'unclear'
      const deletedReceipts = { ...state.deletedReceipts, [event.participant]: answer } as const
      return { ...state, deletedReceipts }
    }
    case 'decision-forgotten':
      return { ...state, deletedDecision: event.answer === 'done' ? 'done' : 'unclear' }
    default:
      return assertNever(event)
  }
}

const READ = { found: 'durable', 'not seen': 'not seen', unknown: 'unclear' } as const

function learnDecision(state: ForgettingState, reading: DecisionReading): ForgettingState {
  switch (reading.answer) {
    case 'found':
      return { ...state, decision: reading.decision, epoch: reading.epoch }
    case 'gone':
      return { ...state, decision: 'gone' }
    case 'unknown':
      return { ...state, decision: 'unclear' }
    default:
      return assertNever(reading)
  }
}

function withReceipt(state: ForgettingState, name: string, receipt: Receipt): ForgettingState {
  return { ...state, receipts: { ...state.receipts, [name]: receipt } }
}

function readReceipt({ answer }: AskAnswer): Receipt {
  switch (answer) {
    case 'found':
      return 'durable'
    case 'absent':
    case 'waits':
      return answer
    case 'unknown':
      return 'unclear'
    default:
      return assertNever(answer)
  }
}

function readRegister(asked: AskAnswer): ForgettingState['registerAgain'] {
  if (asked.answer === 'found') return asked.decision === 'commit' ? 'commit' : 'moved on'
  return asked.answer === 'absent' ? 'moved on' : 'unclear'
}

// --- what is due ------------------------------------------------------------------------------

function send(
  before: ForgettingState,
  ordering: Table<ForgettingMessage, ForgettingFact>,
): ForgettingStep {
  const may = (message: ForgettingMessage, participant = ''): boolean =>
    mayLeave(ordering, message, holds, before, participant)
  if (before.verdict !== 'open') return { state: before, effects: [] }
  let state = before
  const effects: ForgettingEffect[] = []

  if (before.decision === 'unread' && may('read-decision')) {
    state = { ...state, decision: 'reading' }
    effects.push({ send: 'read-decision' })
  }
  for (const [participant, receipt] of Object.entries(before.receipts)) {
    if (receipt === 'unread' && may('read-receipt')) {
      state = withReceipt(state, participant, 'reading')
      effects.push({ send: 'read-receipt', participant })
    }
    if ((receipt === 'unread' || receipt === 'not seen') && may('ask-receipt', participant)) {
      state = withReceipt(state, participant, 'asking')
      effects.push({ send: 'ask-receipt', participant })
    }
  }
  const names = Object.keys(before.receipts)
  const mayAsk = names.some((participant) => may('ask-register', participant))
  if (before.registerAgain === 'unasked' && mayAsk) {
    state = { ...state, registerAgain: 'asking' }
    effects.push({ send: 'ask-register' })
  }
  const absent = names.find((participant) => before.receipts[participant] === 'absent')
  if (absent !== undefined && may('alarm-lost-vote', absent)) {
    return {
      state: { ...state, verdict: 'lost-vote' },
      effects: [...effects, { send: 'alarm-lost-vote', participant: absent }],
    }
  }
  if (isSettleUnsent(before.decision) && may('settle')) {
    state = { ...state, decision: 'settling' }
    effects.push({ send: 'settle' })
  }
  return sendDeletions(state, effects, may)
}

/** Whether it still could be sent; whether it may be is the table's. */
function isSettleUnsent(decision: ForgettingState['decision']): boolean {
  return decision !== 'settling' && decision !== 'settled' && decision !== 'unclear'
}

function sendDeletions(
  before: ForgettingState,
  sent: readonly ForgettingEffect[],
  may: (message: ForgettingMessage) => boolean,
): ForgettingStep {
  let state = before
  const effects = [...sent]
  if (may('forget-receipt')) {
    for (const [participant, deletion] of Object.entries(before.deletedReceipts)) {
      if (deletion !== 'unsent') continue
      state = { ...state, deletedReceipts: { ...state.deletedReceipts, [participant]: 'sent' } }
      effects.push({ send: 'forget-receipt', participant })
    }
  }
  if (before.deletedDecision === 'unsent' && may('forget-decision')) {
    state = { ...state, deletedDecision: 'sent' }
    effects.push({ send: 'forget-decision' })
  }
  return { state: { ...state, verdict: verdict(state) }, effects }
}

function holds(fact: ForgettingFact, state: ForgettingState, participant: string): boolean {
  switch (fact) {
    case 'the decision is durably commit':
      return state.decision === 'commit'
    case 'the receipt was not seen':
      return state.receipts[participant] === 'not seen'
    case 'the receipt is absent':
      return state.receipts[participant] === 'absent'
    case 'the register still says commit':
      return state.registerAgain === 'commit'
    case 'every receipt is durable':
      return every(state.receipts, (receipt) => receipt === 'durable')
    case 'the decision is durably settled':
      return state.decision === 'settled'
    case 'every receipt is durably forgotten':
      return every(state.deletedReceipts, (deletion) => deletion === 'done')
    case 'the epoch is durably unlisted':
      return state.epoch === 'unlisted'
    default:
      return assertNever(fact)
  }
}

/** What follows when nothing more may be sent and no answer is awaited. */
function verdict(state: ForgettingState): ForgettingVerdict | 'open' {
  const pending = [
    state.decision === 'unread' || state.decision === 'reading' || state.decision === 'settling',
    Object.values(state.receipts).some((receipt) => receipt === 'reading' || receipt === 'asking'),
    state.registerAgain === 'asking',
    Object.values(state.deletedReceipts).includes('sent'),
    state.deletedDecision === 'sent',
  ]
  if (pending.includes(true)) return 'open'
  if (state.deletedDecision === 'done') return 'forgotten'
  const isSettled = state.decision === 'settled' && state.deletedDecision === 'unsent'
  if (isSettled && every(state.deletedReceipts, (deletion) => deletion === 'done')) return 'settled'
  return Object.values(state.receipts).includes('waits') ? 'not yet' : 'unclear'
}
