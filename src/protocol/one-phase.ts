/**
 * One-phase commit: at most one branch wrote, and its own COMMIT is the decision.
 *
 * Owns: the order of readers and writer, and what a lost answer means.
 * Promises: needs no schema, no mark and no second forced write.
 * Never: claims to know what a COMMIT did whose answer was lost. There is no row to ask for, so the
 * outcome is `unknown` for good; the documentation says so.
 */
import { assertNever } from './answers.ts'
import type { Answer, EndAnswer } from './answers.ts'
import { each, every, mayLeave } from './machine.ts'
import type { Sent } from './machine.ts'
import { ONE_PHASE_ORDERING } from './ordering.ts'
import type { SoloFact, SoloMessage, Table } from './ordering.ts'
import type { OnePhasePlan } from './plan.ts'
import type { Trouble } from './two-phase.ts'

export interface OnePhaseState {
  readonly plan: OnePhasePlan
  readonly readers: Readonly<Record<string, Sent>>
  /** Where COMMIT to the only writer stands; `none` when nobody wrote. */
  readonly commit: Sent | 'none'
  /** `abandoned`: COMMIT was not sent and never will be. */
  readonly intent: 'commit' | 'abandoned'
  readonly ends: Readonly<Record<string, 'unsent' | 'sent' | 'done'>>
  readonly told: 'nothing' | 'committed' | 'aborted' | 'unknown'
  readonly waiting: 'on' | 'over'
  readonly trouble: readonly Trouble[]
}

export type OnePhaseEvent =
  | { readonly type: 'start' }
  | { readonly type: 'reader-committed'; readonly branch: string; readonly answer: Answer }
  | { readonly type: 'committed'; readonly answer: Answer }
  | { readonly type: 'ended'; readonly branch: string; readonly answer: EndAnswer }
  /** A handle was used after the work had ended: some of the work is missing. */
  | { readonly type: 'objected'; readonly branch: string; readonly cause: unknown }
  | { readonly type: 'over'; readonly cause: unknown }

export type OnePhaseEffect =
  | { readonly send: 'commit-reader' | 'commit' | 'undo'; readonly branch: string }
  | { readonly send: 'tell-committed' | 'tell-aborted' | 'tell-unknown' }

export interface OnePhaseStep {
  readonly state: OnePhaseState
  readonly effects: readonly OnePhaseEffect[]
}

export function begin(plan: OnePhasePlan): OnePhaseState {
  return {
    plan,
    readers: each(plan.readers, 'unsent'),
    commit: plan.writers.length === 0 ? 'none' : 'unsent',
    intent: 'commit',
    ends: each([...plan.readers, ...plan.writers], 'unsent'),
    told: 'nothing',
    waiting: 'on',
    trouble: [],
  }
}

export function step(
  before: OnePhaseState,
  event: OnePhaseEvent,
  ordering: Table<SoloMessage, SoloFact> = ONE_PHASE_ORDERING,
): OnePhaseStep {
  return send(learn(before, event), ordering)
}

/** Whether this process has nothing left to do for the transaction. */
export function isOver(state: OnePhaseState): boolean {
  return state.told !== 'nothing' && every(state.ends, (end) => end === 'done')
}

function learn(state: OnePhaseState, event: OnePhaseEvent): OnePhaseState {
  switch (event.type) {
    case 'start':
      return state
    case 'reader-committed': {
      const readers = { ...state.readers, [event.branch]: event.answer.answer }
      const next = end({ ...state, readers }, event.branch)
      // Nothing was written by a reader: whatever it answered but yes, the write can be abandoned.
      return event.answer.answer === 'yes' ? next : abandon(doubt(next, event.branch, event.answer))
    }
    case 'committed': {
      const [writer] = state.plan.writers
      if (writer === undefined) return state
      return doubt(end({ ...state, commit: event.answer.answer }, writer), writer, event.answer)
    }
    case 'ended':
      // A rollback without an answer: the connection is gone, and the server rolls back by itself.
      return end(state, event.branch)
    case 'objected': {
      const objected = abandon(state)
      // Too late once COMMIT was sent.
      if (objected === state) return state
      return doubt(objected, event.branch, { answer: 'no', cause: event.cause })
    }
    case 'over':
      return abandon({
        ...state,
        waiting: 'over',
        trouble: [...state.trouble, { kind: 'over', cause: event.cause }],
      })
    default:
      return assertNever(event)
  }
}

function end(state: OnePhaseState, branch: string): OnePhaseState {
  return { ...state, ends: { ...state.ends, [branch]: 'done' } }
}

function doubt(state: OnePhaseState, branch: string, answer: Answer): OnePhaseState {
  if (answer.answer === 'yes') return state
  const kind = answer.answer === 'no' ? 'refused' : 'unclear'
  return { ...state, trouble: [...state.trouble, { kind, branch, cause: answer.cause }] }
}

function abandon(state: OnePhaseState): OnePhaseState {
  const isOpen = state.commit === 'unsent' || (state.commit === 'none' && state.told === 'nothing')
  return isOpen ? { ...state, intent: 'abandoned' } : state
}

function send(state: OnePhaseState, ordering: Table<SoloMessage, SoloFact>): OnePhaseStep {
  const may = (message: SoloMessage): boolean =>
    mayLeave(ordering, message, holds, state, undefined)
  const effects: OnePhaseEffect[] = []
  const next: { -readonly [Key in keyof OnePhaseState]: OnePhaseState[Key] } = { ...state }
  const [writer] = state.plan.writers

  for (const [branch, sent] of Object.entries(state.readers)) {
    if (sent !== 'unsent' || !may('commit-reader')) continue
    next.readers = { ...next.readers, [branch]: 'sent' }
    next.ends = { ...next.ends, [branch]: 'sent' }
    effects.push({ send: 'commit-reader', branch })
  }
  if (writer !== undefined && state.commit === 'unsent' && may('commit')) {
    next.commit = 'sent'
    next.ends = { ...next.ends, [writer]: 'sent' }
    effects.push({ send: 'commit', branch: writer })
  }
  for (const [branch, ending] of Object.entries(state.ends)) {
    if (ending !== 'unsent' || !may('undo')) continue
    next.ends = { ...next.ends, [branch]: 'sent' }
    effects.push({ send: 'undo', branch })
  }
  if (next.told === 'nothing' && may('tell')) {
    const outcome = settledOutcome(state)
    next.told = outcome === 'open' ? 'unknown' : outcome
    effects.push({ send: `tell-${next.told}` })
  }
  return { state: next, effects }
}

function holds(fact: SoloFact, state: OnePhaseState): boolean {
  switch (fact) {
    case 'every reader has committed':
      return every(state.readers, (reader) => reader === 'yes')
    case 'nothing speaks against commit':
      return state.intent === 'commit'
    case 'commit is impossible':
      return settledOutcome(state) === 'aborted'
    case 'the outcome is settled': {
      const outcome = settledOutcome(state)
      if (outcome === 'aborted') return state.waiting === 'over' || every(state.ends, isDone)
      return outcome !== 'open'
    }
    default:
      return assertNever(fact)
  }
}

function isDone(end: 'unsent' | 'sent' | 'done'): boolean {
  return end === 'done'
}

function settledOutcome(state: OnePhaseState): 'committed' | 'aborted' | 'unknown' | 'open' {
  if (state.intent === 'abandoned') return 'aborted'
  switch (state.commit) {
    case 'none':
      return every(state.readers, (reader) => reader === 'yes') ? 'committed' : 'open'
    case 'yes':
      return 'committed'
    case 'no':
      return 'aborted'
    case 'unknown':
      return 'unknown'
    case 'sent':
      return state.waiting === 'over' ? 'unknown' : 'open'
    case 'unsent':
      return 'open'
    default:
      return assertNever(state.commit)
  }
}
