/**
 * Looking whether a receipt still has its decision, by any process.
 *
 * Owns: the order of the three questions that together prove a lost decision.
 * Promises: no false alarm while forgetting, or a branch that is just being applied, is under way.
 * Never: ends or deletes anything.
 */
import { assertNever, meaningOf } from './answers.ts'
import type { AskAnswer } from './answers.ts'
import { mayLeave } from './machine.ts'
import { WITNESS_ORDERING } from './ordering.ts'
import type { Table, WitnessFact, WitnessMessage } from './ordering.ts'

export interface WitnessState {
  readonly receipt: 'unread' | 'reading' | 'durable' | 'not there'
  readonly register: 'unasked' | 'asking' | 'has it' | 'has no row' | 'unclear'
  readonly receiptAgain: 'unasked' | 'asking' | 'there' | 'not there'
  readonly verdict: WitnessVerdict | 'open'
}

export type WitnessVerdict =
  | 'decided'
  /** The register lost its decision, or this participant was set back. */
  | 'lost-decision'
  /** Both are gone, as forgetting leaves it; or something was not answered. */
  | 'no conclusion'

export type WitnessEvent =
  | { readonly type: 'start' }
  | { readonly type: 'receipt-read'; readonly answer: 'found' | 'not seen' | 'unknown' }
  | { readonly type: 'register-asked'; readonly answer: AskAnswer }
  | { readonly type: 'receipt-asked'; readonly answer: AskAnswer }

export interface WitnessStep {
  readonly state: WitnessState
  readonly effects: readonly WitnessMessage[]
}

export const UNREAD: WitnessState = {
  receipt: 'unread',
  register: 'unasked',
  receiptAgain: 'unasked',
  verdict: 'open',
}

export function step(
  before: WitnessState,
  event: WitnessEvent,
  ordering: Table<WitnessMessage, WitnessFact> = WITNESS_ORDERING,
): WitnessStep {
  return send(learn(before, event), ordering)
}

function learn(state: WitnessState, event: WitnessEvent): WitnessState {
  switch (event.type) {
    case 'start':
      return state
    case 'receipt-read':
      return { ...state, receipt: event.answer === 'found' ? 'durable' : 'not there' }
    case 'register-asked':
      return { ...state, register: readRegister(event.answer) }
    case 'receipt-asked':
      return { ...state, receiptAgain: event.answer.answer === 'found' ? 'there' : 'not there' }
    default:
      return assertNever(event)
  }
}

function readRegister(asked: AskAnswer): WitnessState['register'] {
  switch (asked.answer) {
    case 'found':
      // A person's abort speaks against a receipt as a missing row does.
      return meaningOf(asked.decision) === 'commit' ? 'has it' : 'has no row'
    case 'absent':
      return 'has no row'
    case 'waits':
    case 'unknown':
      return 'unclear'
    default:
      return assertNever(asked)
  }
}

function send(state: WitnessState, ordering: Table<WitnessMessage, WitnessFact>): WitnessStep {
  const may = (message: WitnessMessage): boolean =>
    mayLeave(ordering, message, holds, state, undefined)
  if (state.verdict !== 'open') return { state, effects: [] }
  if (state.receipt === 'unread' && may('read-receipt')) {
    return { state: { ...state, receipt: 'reading' }, effects: ['read-receipt'] }
  }
  if (state.register === 'unasked' && may('ask-register')) {
    return { state: { ...state, register: 'asking' }, effects: ['ask-register'] }
  }
  if (state.receiptAgain === 'unasked' && may('ask-receipt-again')) {
    return { state: { ...state, receiptAgain: 'asking' }, effects: ['ask-receipt-again'] }
  }
  if (may('alarm-lost-decision')) {
    return { state: { ...state, verdict: 'lost-decision' }, effects: ['alarm-lost-decision'] }
  }
  return { state: { ...state, verdict: verdict(state) }, effects: [] }
}

function holds(fact: WitnessFact, state: WitnessState): boolean {
  switch (fact) {
    case 'the receipt is durable':
      return state.receipt === 'durable'
    case 'the register has no row':
      return state.register === 'has no row'
    case 'the receipt is still there':
      return state.receiptAgain === 'there'
    default:
      return assertNever(fact)
  }
}

function verdict(state: WitnessState): WitnessVerdict | 'open' {
  const pending =
    state.receipt === 'reading' || state.register === 'asking' || state.receiptAgain === 'asking'
  if (pending) return 'open'
  return state.register === 'has it' ? 'decided' : 'no conclusion'
}
