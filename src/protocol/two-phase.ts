/**
 * Two-phase commit decided in a participant, as the process that runs the transaction sees it.
 *
 * Owns: what this process knows of its own transaction after the user's work, and what it sends
 * next. It starts when the roles are settled and ends when nothing is left for this process to do.
 * Promises: messages leave as the ordering table says; the caller is told once.
 * Never: does I/O, reads a clock, or concludes anything from silence.
 *
 *            decider               voters                readers
 *   claim    INSERT mark
 *   vote                           receipt + PREPARE     COMMIT
 *   decide   COMMIT
 *   apply                          COMMIT PREPARED
 */
import { assertNever, conclude } from './answers.ts'
import type { Answer, AskAnswer, EndAnswer } from './answers.ts'
import { each, mayLeave } from './machine.ts'
import type { Sent } from './machine.ts'
import { TWO_PHASE_ORDERING } from './ordering.ts'
import type { OwnerFact, OwnerMessage, Table } from './ordering.ts'
import type { TwoPhasePlan } from './plan.ts'

/** Where the decision stands. `abandoned`, `commit` and `abort` are final. */
export type Decision =
  /** COMMIT was not sent. */
  | 'open'
  /** COMMIT was not sent and never will be. */
  | 'abandoned'
  | 'sent'
  /** The answer to COMMIT was lost. */
  | 'unclear'
  /** Its register has no row and does not remember the epoch: left for a person. */
  | 'held'
  | 'commit'
  /** COMMIT was refused, or the register proved that it never happened. */
  | 'abort'

/** Where the end of a branch stands. */
export type End =
  | 'unsent'
  | 'sent'
  | 'done'
  /** The answer proves nothing: recovery has to look. */
  | 'unclear'
  /** Recovery works on it, in this process or in another one. */
  | 'handed over'
  /** This process works on it no more: the scans of others do. */
  | 'left'
  | 'lost'

/** Why the transaction did not simply commit; the first cause is the one that is told. */
export type Trouble =
  | { readonly kind: 'refused'; readonly branch: string; readonly cause: unknown }
  | { readonly kind: 'unclear'; readonly branch: string; readonly cause: unknown }
  | { readonly kind: 'over'; readonly cause: unknown }

export interface TwoPhaseState {
  readonly plan: TwoPhasePlan
  /** All that the plan names. */
  readonly branches: readonly string[]
  /** When the caller is told of a commit: when all have applied it, or at the decision. */
  readonly resolveWhen: 'applied' | 'decided'
  readonly claim: Sent
  readonly votes: Readonly<Record<string, Sent>>
  readonly readers: Readonly<Record<string, Sent>>
  readonly decision: Decision
  /** Whether the register was asked and has not answered yet. */
  readonly asking: 'no' | 'yes'
  readonly ends: Readonly<Record<string, End>>
  readonly waiting: 'on' | 'over'
  readonly told: 'nothing' | 'committed' | 'aborted' | 'unknown'
  readonly trouble: readonly Trouble[]
}

export type TwoPhaseEvent =
  | { readonly type: 'start' }
  | { readonly type: 'claimed'; readonly answer: Answer }
  | { readonly type: 'voted'; readonly branch: string; readonly answer: Answer }
  | { readonly type: 'reader-committed'; readonly branch: string; readonly answer: Answer }
  | { readonly type: 'decided'; readonly answer: Answer }
  | { readonly type: 'asked'; readonly answer: AskAnswer }
  | { readonly type: 'ended'; readonly branch: string; readonly answer: EndAnswer }
  /** What recovery, in this process, made of a branch that was handed over to it. */
  | {
      readonly type: 'recovered'
      readonly branch: string
      readonly result: 'done' | 'lost' | 'left'
    }
  /** A handle was used after the work had ended: some of the work is missing. */
  | { readonly type: 'objected'; readonly branch: string; readonly cause: unknown }
  /** The caller's time ran out or its signal was aborted. */
  | { readonly type: 'over'; readonly cause: unknown }

export type TwoPhaseEffect =
  | { readonly send: 'claim' | 'decide' | 'ask' }
  | { readonly send: 'vote' | 'commit-reader' | 'apply' | 'undo'; readonly branch: string }
  /** Let recovery end this branch. */
  | { readonly send: 'hand-over'; readonly branch: string }
  | { readonly send: 'tell-committed' | 'tell-aborted' | 'tell-unknown' }

export interface TwoPhaseStep {
  readonly state: TwoPhaseState
  readonly effects: readonly TwoPhaseEffect[]
}

export function begin(plan: TwoPhasePlan, resolveWhen: 'applied' | 'decided'): TwoPhaseState {
  const branches = [plan.decider, ...plan.voters, ...plan.readers]
  return {
    plan,
    branches,
    resolveWhen,
    claim: 'unsent',
    votes: each(plan.voters, 'unsent'),
    readers: each(plan.readers, 'unsent'),
    decision: 'open',
    asking: 'no',
    ends: each(branches, 'unsent'),
    waiting: 'on',
    told: 'nothing',
    trouble: [],
  }
}

export function step(
  before: TwoPhaseState,
  event: TwoPhaseEvent,
  ordering: Table<OwnerMessage, OwnerFact> = TWO_PHASE_ORDERING,
): TwoPhaseStep {
  return send(learn(before, event), ordering)
}

/** Whether this process has nothing left to do for the transaction. */
export function isOver(state: TwoPhaseState): boolean {
  if (state.told === 'nothing' || state.decision === 'sent' || state.asking === 'yes') return false
  return hasEnded(state)
}

function hasEnded({ branches, ends }: TwoPhaseState): boolean {
  return branches.every((branch) => isOut(ends[branch]))
}

/** Whether this process has nothing left to do about a branch. */
function isOut(end: End | undefined): boolean {
  return end === 'done' || end === 'lost' || end === 'handed over' || end === 'left'
}

// --- what an answer teaches -------------------------------------------------------------------

function learn(state: TwoPhaseState, event: TwoPhaseEvent): TwoPhaseState {
  switch (event.type) {
    case 'start':
      return state
    case 'claimed':
      return doubt({ ...state, claim: event.answer.answer }, state.plan.decider, event.answer)
    case 'voted': {
      const votes = { ...state.votes, [event.branch]: event.answer.answer }
      return doubt({ ...state, votes }, event.branch, event.answer)
    }
    case 'reader-committed': {
      const readers = { ...state.readers, [event.branch]: event.answer.answer }
      const ends = { ...state.ends, [event.branch]: 'done' as const }
      return doubt({ ...state, readers, ends }, event.branch, event.answer)
    }
    case 'decided':
      return learnDecision(state, event.answer)
    case 'asked':
      return learnRegister({ ...state, asking: 'no' }, event.answer)
    case 'ended':
      return learnEnd(state, event.branch, event.answer)
    case 'recovered': {
      const end = event.result
      // The decider may have been found out about meanwhile.
      if (state.ends[event.branch] !== 'handed over') return state
      return { ...state, ends: { ...state.ends, [event.branch]: end } }
    }
    case 'objected':
      // Too late once COMMIT was sent.
      if (state.decision !== 'open') return state
      return doubt(state, event.branch, { answer: 'no', cause: event.cause })
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

/** Anything but a yes, before COMMIT was sent, rules COMMIT out. */
function doubt(state: TwoPhaseState, branch: string, answer: Answer): TwoPhaseState {
  if (answer.answer === 'yes') return state
  const kind = answer.answer === 'no' ? 'refused' : 'unclear'
  return abandon({
    ...state,
    trouble: [...state.trouble, { kind, branch, cause: answer.cause }],
  })
}

function abandon(state: TwoPhaseState): TwoPhaseState {
  return state.decision === 'open' ? { ...state, decision: 'abandoned' } : state
}

function learnDecision(state: TwoPhaseState, answer: Answer): TwoPhaseState {
  const { decider } = state.plan
  switch (answer.answer) {
    case 'yes':
      return { ...state, decision: 'commit', ends: { ...state.ends, [decider]: 'done' } }
    case 'no':
      return {
        ...state,
        decision: 'abort',
        ends: { ...state.ends, [decider]: 'done' },
        trouble: [...state.trouble, { kind: 'refused', branch: decider, cause: answer.cause }],
      }
    case 'unknown':
      return {
        ...state,
        decision: 'unclear',
        trouble: [...state.trouble, { kind: 'unclear', branch: decider, cause: answer.cause }],
      }
    default:
      return assertNever(answer)
  }
}

function learnRegister(state: TwoPhaseState, answer: AskAnswer): TwoPhaseState {
  const { decider } = state.plan
  const conclusion = conclude(answer)
  switch (conclusion) {
    case 'commit':
    case 'abort':
      return { ...state, decision: conclusion, ends: { ...state.ends, [decider]: 'done' } }
    case 'running':
    case 'unclear':
      return { ...state, decision: 'unclear' }
    case 'held':
      return { ...state, decision: 'held' }
    default:
      return assertNever(conclusion)
  }
}

function learnEnd(state: TwoPhaseState, branch: string, answer: EndAnswer): TwoPhaseState {
  if (answer.answer === 'done') return { ...state, ends: { ...state.ends, [branch]: 'done' } }
  // "Does not exist" proves nothing: recovery asks for the receipt.
  const trouble: Trouble = {
    kind: 'unclear',
    branch,
    cause: answer.answer === 'missing' ? 'the prepared branch was not found' : answer.cause,
  }
  return {
    ...state,
    ends: { ...state.ends, [branch]: 'unclear' },
    trouble: [...state.trouble, trouble],
  }
}

// --- what may be sent next --------------------------------------------------------------------

type Changing = { -readonly [Key in keyof TwoPhaseState]: TwoPhaseState[Key] }

/** Sends everything that is due. Sending only marks messages as sent, so the order is free. */
function send(state: TwoPhaseState, ordering: Table<OwnerMessage, OwnerFact>): TwoPhaseStep {
  const { plan } = state
  const may = (message: OwnerMessage, branch = plan.decider): boolean =>
    mayLeave(ordering, message, holds, state, branch)
  const effects: TwoPhaseEffect[] = []
  const next: Changing = { ...state }

  if (state.claim === 'unsent' && may('claim')) {
    next.claim = 'sent'
    effects.push({ send: 'claim' })
  }
  for (const branch of plan.readers) {
    if (state.readers[branch] !== 'unsent' || !may('commit-reader', branch)) continue
    next.readers = { ...next.readers, [branch]: 'sent' }
    effects.push({ send: 'commit-reader', branch })
  }
  for (const branch of plan.voters) {
    if (state.votes[branch] !== 'unsent' || !may('vote', branch)) continue
    next.votes = { ...next.votes, [branch]: 'sent' }
    effects.push({ send: 'vote', branch })
  }
  if (isCommitUnsent(state.decision) && may('decide')) {
    next.decision = 'sent'
    effects.push({ send: 'decide' })
  }
  for (const branch of state.branches) {
    if (state.ends[branch] !== 'unsent') continue
    if (plan.voters.includes(branch) && may('apply', branch)) {
      next.ends = { ...next.ends, [branch]: 'sent' }
      effects.push({ send: 'apply', branch })
    } else if (may('undo', branch)) {
      next.ends = { ...next.ends, [branch]: 'sent' }
      effects.push({ send: 'undo', branch })
    }
  }
  return askOrTell(next, effects, (message) =>
    mayLeave(ordering, message, holds, next, next.plan.decider),
  )
}

/** The second half of `send`: the register, the caller, and what is left to recovery. */
function askOrTell(
  next: Changing,
  effects: TwoPhaseEffect[],
  may: (message: OwnerMessage) => boolean,
): TwoPhaseStep {
  handOver(next, effects)
  if (next.told === 'nothing') {
    const tell = (['tell-committed', 'tell-aborted', 'tell-unknown'] as const).find(may)
    if (tell !== undefined) {
      next.told = OUTCOMES[tell]
      effects.push({ send: tell })
    }
  }
  if (next.asking === 'no' && may('ask')) {
    next.asking = 'yes'
    effects.push({ send: 'ask' })
  }
  if (next.told === 'unknown' && (next.decision === 'unclear' || next.decision === 'held')) {
    // The caller knows that nothing is known: from here on they are like any other branch in doubt.
    for (const branch of next.branches) {
      if (next.ends[branch] === 'unsent') next.ends = { ...next.ends, [branch]: 'unclear' }
    }
    handOver(next, effects)
  }
  return { state: next, effects }
}

/** Gives to recovery what this process can't end by itself. Before telling, which looks at it. */
function handOver(next: Changing, effects: TwoPhaseEffect[]): void {
  for (const branch of next.branches) {
    if (next.ends[branch] !== 'unclear') continue
    next.ends = { ...next.ends, [branch]: 'handed over' }
    effects.push({ send: 'hand-over', branch })
  }
}

/** Whether it still could be sent; whether it may be is the table's. */
function isCommitUnsent(decision: Decision): boolean {
  return decision === 'open' || decision === 'abandoned'
}

const OUTCOMES = {
  'tell-committed': 'committed',
  'tell-aborted': 'aborted',
  'tell-unknown': 'unknown',
} as const

function holds(fact: OwnerFact, state: TwoPhaseState, branch: string): boolean {
  switch (fact) {
    case 'the claim is acknowledged':
      return state.claim === 'yes'
    case 'every voter is prepared':
      return state.plan.voters.every((voter) => state.votes[voter] === 'yes')
    case 'every reader has committed':
      return state.plan.readers.every((reader) => state.readers[reader] === 'yes')
    case 'nothing speaks against commit':
      return state.decision === 'open'
    case 'the answer to COMMIT was lost':
      return state.decision === 'unclear'
    case 'the outcome is not known':
      return state.decision === 'sent' || state.decision === 'unclear' || state.decision === 'held'
    case 'commit is durable':
      return state.decision === 'commit'
    case 'commit is impossible':
      return state.decision === 'abandoned' || state.decision === 'abort'
    case 'the branch has answered':
      return hasAnswered(state, branch)
    case 'the end is applied or not waited for':
      return state.waiting === 'over' || isEndSettled(state)
    case 'the caller waits':
      return state.waiting === 'on'
    case 'waiting is over':
      return state.waiting === 'over' || state.decision === 'held'
    default:
      return assertNever(fact)
  }
}

function hasAnswered(state: TwoPhaseState, branch: string): boolean {
  if (branch === state.plan.decider) return state.claim !== 'sent'
  return (state.votes[branch] ?? state.readers[branch]) !== 'sent'
}

function isEndSettled(state: TwoPhaseState): boolean {
  if (state.decision !== 'commit') {
    // A rollback that was handed over is not waited for: only its locks depend on it.
    return hasEnded(state)
  }
  if (state.resolveWhen === 'decided') return true
  return state.plan.voters.every((voter) => {
    const end = state.ends[voter]
    return end === 'done' || end === 'lost' || end === 'left'
  })
}
