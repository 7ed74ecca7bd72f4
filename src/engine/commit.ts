/**
 * The interpreter: performs what the machines of the protocol say, and tells them the answers.
 *
 * Owns: which port method each message is, and the bounds on waiting for its answer.
 * Promises: every message gets exactly one answer, `unknown` if the system gave none; the machine
 * is told that waiting is over at most once.
 * Never: decides what is sent. If a machine throws, the transaction is left to recovery.
 */
import { assertNever, invariant, onePhase, twoPhase } from '../protocol/index.ts'
import type { Gid, OnePhasePlan, TransactionId, TwoPhasePlan } from '../protocol/index.ts'
import type { Branch, Participant, World } from '../ports/index.ts'
import { backoffMs } from './backoff.ts'
import { LIMITS } from './limits.ts'
import type { Recovery } from './recover.ts'

export interface Commitment {
  readonly branches: ReadonlyMap<string, Branch>
  readonly participants: ReadonlyMap<string, Participant>
  readonly recovery: Recovery
  readonly world: World
  /** Aborted when the caller's time ran out, or its own signal was. */
  readonly over: AbortSignal
}

/** A machine that runs: `told` when the caller may be told, `finished` when nothing is left. */
export interface Running<State> {
  readonly told: Promise<State>
  readonly finished: Promise<void>
}

const ASK_BACKOFF = { firstMs: 20, longestMs: 1_000 }

export function commitTwoPhase(
  plan: TwoPhasePlan,
  id: TransactionId,
  resolveWhen: 'applied' | 'decided',
  commitment: Commitment,
): Running<twoPhase.TwoPhaseState> {
  const { branches, participants, world, recovery, over } = commitment
  const branch = (name: string): Branch => named(branches, name)
  const gid = (name: string): Gid => ({ ...id, branch: name })
  const mark = { id, participants: [plan.decider, ...plan.voters] }
  const awaited = new Awaited(world)
  let asks = 0

  const ask = async (): Promise<twoPhase.TwoPhaseEvent> => {
    asks += 1
    if (asks > 1) await world.sleep(backoffMs(ASK_BACKOFF, asks - 1, world), over)
    return { type: 'asked', answer: await named(participants, plan.decider).ask(id) }
  }
  const handOver = async (name: string): Promise<twoPhase.TwoPhaseEvent | undefined> => {
    const result = await recovery.handOver(named(participants, name), gid(name))
    return result === 'left' ? undefined : { type: 'recovered', branch: name, result }
  }
  const perform = (
    effect: twoPhase.TwoPhaseEffect,
  ): Promise<twoPhase.TwoPhaseEvent | undefined> | 'tell' => {
    switch (effect.send) {
      case 'claim':
        return awaited
          .answer(branch(plan.decider), (decider) => decider.claim(mark))
          .then((answer) => ({ type: 'claimed', answer }))
      case 'commit-reader':
        return awaited
          .answer(branch(effect.branch), (reader) => reader.commit())
          .then((answer) => ({ type: 'reader-committed', branch: effect.branch, answer }))
      case 'vote':
        return awaited
          .answer(branch(effect.branch), (voter) => voter.vote(mark, gid(effect.branch)))
          .then((answer) => ({ type: 'voted', branch: effect.branch, answer }))
      case 'decide':
        return awaited
          .answer(branch(plan.decider), (decider) => decider.commit())
          .then((answer) => ({ type: 'decided', answer }))
      case 'ask':
        return ask()
      case 'apply':
      case 'undo': {
        const decision = effect.send === 'apply' ? 'commit' : 'abort'
        const isVoter = plan.voters.includes(effect.branch)
        return awaited
          .end(branch(effect.branch), decision, isVoter ? gid(effect.branch) : undefined)
          .then((answer) => ({ type: 'ended', branch: effect.branch, answer }))
      }
      case 'hand-over':
        // The decider prepared nothing: what became of it is what its register says.
        return effect.branch === plan.decider ? Promise.resolve(undefined) : handOver(effect.branch)
      case 'tell-committed':
      case 'tell-aborted':
      case 'tell-unknown':
        return 'tell'
      default:
        return assertNever(effect)
    }
  }
  return interpret({
    begin: twoPhase.begin(plan, resolveWhen),
    step: (state, event) => twoPhase.step(state, event),
    isOver: twoPhase.isOver,
    perform,
    over,
    onOver: (state) => {
      // Once COMMIT may have been sent, only what is still unanswered before it is cut.
      if (state.decision !== 'commit') awaited.cutAll()
    },
  })
}

export function commitOnePhase(
  plan: OnePhasePlan,
  commitment: Commitment,
): Running<onePhase.OnePhaseState> {
  const { branches, over, world } = commitment
  const awaited = new Awaited(world)
  const perform = (
    effect: onePhase.OnePhaseEffect,
  ): Promise<onePhase.OnePhaseEvent | undefined> | 'tell' => {
    switch (effect.send) {
      case 'commit-reader':
        return awaited
          .answer(named(branches, effect.branch), (reader) => reader.commit())
          .then((answer) => ({ type: 'reader-committed', branch: effect.branch, answer }))
      case 'commit':
        return awaited
          .answer(named(branches, effect.branch), (writer) => writer.commit())
          .then((answer) => ({ type: 'committed', answer }))
      case 'undo':
        return awaited
          .end(named(branches, effect.branch), 'abort', undefined)
          .then((answer) => ({ type: 'ended', branch: effect.branch, answer }))
      case 'tell-committed':
      case 'tell-aborted':
      case 'tell-unknown':
        return 'tell'
      default:
        return assertNever(effect)
    }
  }
  return interpret({
    begin: onePhase.begin(plan),
    step: (state, event) => onePhase.step(state, event),
    isOver: onePhase.isOver,
    perform,
    over,
    onOver: () => {
      awaited.cutAll()
    },
  })
}

interface Machine<State, Event, Effect> {
  readonly begin: State
  readonly step: (
    state: State,
    event: Event | { type: 'start' } | { type: 'over'; cause: unknown },
  ) => { readonly state: State; readonly effects: readonly Effect[] }
  readonly isOver: (state: State) => boolean
  readonly perform: (effect: Effect) => Promise<Event | undefined> | 'tell'
  readonly over: AbortSignal
  readonly onOver: (state: State) => void
}

function interpret<State, Event, Effect>(machine: Machine<State, Event, Effect>): Running<State> {
  const told = Promise.withResolvers<State>()
  const finished = Promise.withResolvers<void>()
  let state = machine.begin

  const dispatch = (event: Parameters<typeof machine.step>[1]): void => {
    try {
      const next = machine.step(state, event)
      state = next.state
      for (const effect of next.effects) {
        const performed = machine.perform(effect)
        if (performed === 'tell') told.resolve(state)
        else performed.then((answer) => answer !== undefined && dispatch(answer)).catch(fail)
      }
      if (machine.isOver(state)) finished.resolve()
    } catch (error) {
      fail(error)
    }
  }
  // A bug: nothing more is sent, and whatever is prepared is left to recovery.
  const fail = (error: unknown): void => {
    told.reject(error instanceof Error ? error : new Error(String(error)))
    finished.resolve()
  }
  const onOver = (): void => {
    dispatch({ type: 'over', cause: machine.over.reason })
    machine.onOver(state)
  }
  dispatch({ type: 'start' })
  if (machine.over.aborted) onOver()
  else machine.over.addEventListener('abort', onOver, { once: true })
  void finished.promise.then(() => {
    machine.over.removeEventListener('abort', onOver)
  })
  return { told: told.promise, finished: finished.promise }
}

/** The branches that have a message of ours unanswered, and the bound on waiting for each. */
class Awaited {
  readonly #world: World
  readonly #branches = new Set<Branch>()

  constructor(world: World) {
    this.#world = world
  }

  answer<A>(branch: Branch, ask: (branch: Branch) => Promise<A>): Promise<A> {
    this.#branches.add(branch)
    return this.#bounded(branch, ask(branch))
  }

  /** Ending is not cut when the caller's time is over: it is what frees everybody else. */
  end(
    branch: Branch,
    decision: 'commit' | 'abort',
    gid: Gid | undefined,
  ): ReturnType<Branch['end']> {
    return this.#bounded(branch, branch.end(decision, gid))
  }

  cutAll(): void {
    for (const branch of this.#branches) branch.cut()
  }

  async #bounded<A>(branch: Branch, answer: Promise<A>): Promise<A> {
    const answered = new AbortController()
    void this.#world.rest(LIMITS.answerMs, answered.signal).then(() => {
      if (!answered.signal.aborted) branch.cut()
    })
    try {
      return await answer
    } finally {
      answered.abort()
      this.#branches.delete(branch)
    }
  }
}

function named<T>(things: ReadonlyMap<string, T>, name: string): T {
  const thing = things.get(name)
  invariant(thing !== undefined, `the plan names ${name}, which did not join`)
  return thing
}
