/**
 * The interpreter: performs what a machine of the protocol says, and tells it the answers.
 *
 * Owns: the loop of one machine, and the bounds on waiting for an answer.
 * Promises: every message gets exactly one answer, `unknown` if the system gave none; the machine
 * is told at most once that waiting is over.
 * Never: decides what is sent. If a machine throws, the transaction is left to recovery.
 */
import { AssentError, invariant } from '../protocol/index.ts'
import type { Branch, World } from '../ports/index.ts'
import { LIMITS } from './limits.ts'

/** A machine that runs: `told` when the caller may be told, `finished` when nothing is left. */
export interface Running<State> {
  readonly told: Promise<State>
  readonly finished: Promise<void>
  /** Tells the machine that a handle was used after the work had ended. */
  readonly object: (branch: string, cause: unknown) => void
}

/** What performing a message gives: its answer, nothing more to say, or "tell the caller". */
export type Performed<Event> = Promise<Event | undefined> | 'tell'

export interface Machine<State, Event, Effect> {
  readonly begin: State
  readonly step: (
    state: State,
    event:
      | Event
      | { readonly type: 'start' }
      | { readonly type: 'objected'; readonly branch: string; readonly cause: unknown }
      | { readonly type: 'over'; readonly cause: unknown },
  ) => { readonly state: State; readonly effects: readonly Effect[] }
  readonly isOver: (state: State) => boolean
  readonly perform: (effect: Effect) => Performed<Event>
  /** Aborted when the caller's time ran out, or its own signal was. */
  readonly over: AbortSignal
  /** Whether a COMMIT was sent and is not answered: worth a moment more of waiting. */
  readonly isCommitOut: (state: State) => boolean
  readonly onOver: () => void
}

export function interpret<State, Event, Effect>(
  machine: Machine<State, Event, Effect>,
  world: World,
): Running<State> {
  const told = Promise.withResolvers<State>()
  const finished = Promise.withResolvers<undefined>()
  const commitAnswered = new AbortController()
  let state = machine.begin

  const dispatch = (event: Parameters<typeof machine.step>[1]): void => {
    try {
      const next = machine.step(state, event)
      if (machine.isCommitOut(state) && !machine.isCommitOut(next.state)) commitAnswered.abort()
      state = next.state
      for (const effect of next.effects) perform(effect)
      if (machine.isOver(state)) finished.resolve(undefined)
    } catch (error) {
      fail(error)
    }
  }
  const perform = (effect: Effect): void => {
    const performed = machine.perform(effect)
    if (performed === 'tell') {
      told.resolve(state)
      return
    }
    performed
      .then((answer) => {
        if (answer !== undefined) dispatch(answer)
      })
      .catch(fail)
  }
  // A bug: nothing more is sent, and whatever is prepared is left to recovery.
  const fail = (error: unknown): void => {
    told.reject(error instanceof AssentError ? error : bug(error))
    finished.resolve(undefined)
  }
  const onOver = async (): Promise<void> => {
    if (machine.isCommitOut(state)) {
      await world.sleep(LIMITS.commitAnswerMs, commitAnswered.signal)
    }
    dispatch({ type: 'over', cause: machine.over.reason })
    machine.onOver()
  }
  const onAbort = (): void => {
    void onOver()
  }
  dispatch({ type: 'start' })
  if (machine.over.aborted) onAbort()
  else machine.over.addEventListener('abort', onAbort, { once: true })
  void finished.promise.then(() => {
    machine.over.removeEventListener('abort', onAbort)
  })
  const object = (branch: string, cause: unknown): void => {
    dispatch({ type: 'objected', branch, cause })
  }
  return { told: told.promise, finished: finished.promise, object }
}

/** An error as it is would mean "rolled back"; after the first mark nobody may say that of a bug. */
function bug(cause: unknown): AssentError {
  return new AssentError({
    code: 'ASSENT_INVARIANT',
    outcome: 'unknown',
    message: `Impossible: the machine failed: ${String(cause)}.`,
    cause,
  })
}

/** The branches that have a message of ours unanswered, and the bound on waiting for each. */
export class Awaited {
  readonly #world: World
  readonly #branches = new Set<Branch>()

  constructor(world: World) {
    this.#world = world
  }

  /** An answer that `cutAll` may turn into `unknown`. */
  async answer<A>(branch: Branch, ask: (branch: Branch) => Promise<A>): Promise<A> {
    this.#branches.add(branch)
    try {
      return await this.bounded(branch, ask(branch))
    } finally {
      this.#branches.delete(branch)
    }
  }

  /** An answer that is only bounded: ending a branch is what frees everybody else. */
  async bounded<A>(branch: Branch, answer: Promise<A>): Promise<A> {
    const answered = new AbortController()
    void this.#world.rest(LIMITS.answerMs, answered.signal).then(() => {
      if (!answered.signal.aborted) branch.cut()
    })
    try {
      return await answer
    } finally {
      answered.abort()
    }
  }

  cutAll(): void {
    for (const branch of this.#branches) branch.cut()
  }
}

/** Looks up what a plan names. */
export function named<T>(things: ReadonlyMap<string, T>, name: string): T {
  const thing = things.get(name)
  invariant(thing !== undefined, `the plan names ${name}, which did not join`)
  return thing
}
