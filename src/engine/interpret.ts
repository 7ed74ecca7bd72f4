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
import type { Over } from './over.ts'

/** A machine that runs: `told` when the caller may be told, `finished` when nothing is left. */
export interface Running<State> {
  readonly told: Promise<State>
  readonly finished: Promise<void>
  /** Tells the machine that a handle was used after the work had ended. */
  readonly object: (branch: string, cause: unknown) => void
}

/** What performing a message gives: its answer, or "tell the caller". */
export type Performed<Event> = Promise<Event> | 'tell'

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
  readonly over: Over
  /** Whether a COMMIT was sent and is not answered: worth a moment more of waiting. */
  readonly isCommitOut: (state: State) => boolean
  readonly onOver: () => void
  /** Nothing is left for this process to do. */
  readonly onFinished: () => void
}

export function interpret<State, Event, Effect>(
  machine: Machine<State, Event, Effect>,
  world: World,
): Running<State> {
  const interpreter = new Interpreter(machine, world)
  interpreter.start()
  return interpreter
}

type EventOf<M> = M extends { step: (state: never, event: infer E) => unknown } ? E : never

class Interpreter<State, Event, Effect> implements Running<State> {
  readonly #machine: Machine<State, Event, Effect>
  readonly #world: World
  readonly #told = Promise.withResolvers<State>()
  readonly #finished = Promise.withResolvers<undefined>()
  #state: State
  #isFinished = false
  #hasFailed = false
  #onCommitAnswered = (): void => undefined
  #stopWaiting = (): void => undefined

  constructor(machine: Machine<State, Event, Effect>, world: World) {
    this.#machine = machine
    this.#world = world
    this.#state = machine.begin
  }

  get told(): Promise<State> {
    return this.#told.promise
  }

  get finished(): Promise<void> {
    return this.#finished.promise
  }

  start(): void {
    this.#dispatch({ type: 'start' })
    const stopWaiting = this.#machine.over.whenOver(() => {
      void this.#over()
    })
    if (this.#isFinished) stopWaiting()
    else this.#stopWaiting = stopWaiting
  }

  object(branch: string, cause: unknown): void {
    this.#dispatch({ type: 'objected', branch, cause })
  }

  /** Never throws. */
  #dispatch(event: EventOf<Machine<State, Event, Effect>>): void {
    if (this.#hasFailed) return
    const machine = this.#machine
    try {
      const next = machine.step(this.#state, event)
      const wasCommitOut = machine.isCommitOut(this.#state)
      this.#state = next.state
      if (wasCommitOut && !machine.isCommitOut(next.state)) this.#onCommitAnswered()
      for (const effect of next.effects) this.#perform(effect)
      if (machine.isOver(this.#state)) this.#finish()
    } catch (error) {
      this.#fail(error)
    }
  }

  #perform(effect: Effect): void {
    const performed = this.#machine.perform(effect)
    if (performed === 'tell') {
      this.#told.resolve(this.#state)
      return
    }
    performed.then(
      (answer) => {
        this.#dispatch(answer)
      },
      (error: unknown) => {
        this.#fail(error)
      },
    )
  }

  /** A bug: nothing more is sent, and whatever is prepared is left to recovery. */
  #fail(error: unknown): void {
    this.#hasFailed = true
    this.#told.reject(error instanceof AssentError ? error : bug(error))
    this.#finish()
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#stopWaiting()
    this.#machine.onFinished()
    this.#finished.resolve(undefined)
  }

  async #over(): Promise<void> {
    if (this.#machine.isCommitOut(this.#state)) {
      await moment(this.#world, LIMITS.commitAnswerMs, (answered) => {
        this.#onCommitAnswered = answered
      })
    }
    this.#dispatch({ type: 'over', cause: this.#machine.over.reason })
    this.#machine.onOver()
  }
}

/** Resolves after `ms`, or when the function that is handed out is called. */
async function moment(world: World, ms: number, handOut: (end: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const end = (): void => {
    resolve(undefined)
  }
  handOut(end)
  const cancel = world.timer(ms, end, 'awaited')
  await promise
  cancel()
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

/** A branch that has a message of ours unanswered. */
interface Unanswered {
  readonly since: number
  /** Ending a branch is what frees everybody else: it is only bounded. */
  readonly kind: 'cut when over' | 'only bounded'
}

/** The branches that have a message of ours unanswered, and the bound on waiting for each. */
export class Awaited {
  readonly #world: World
  readonly #branches = new Map<Branch, Unanswered>()
  /** One timer for all of a transaction's messages. */
  #cancelTimer: (() => void) | undefined

  constructor(world: World) {
    this.#world = world
  }

  /** The event that an answer is, which `cutAll` may turn into `unknown`. */
  answer<A, E>(branch: Branch, answer: Promise<A>, event: (answer: A) => E): Promise<E> {
    return this.#await(branch, answer, 'cut when over', event)
  }

  /** The same of an answer that is only bounded. */
  bounded<A, E>(branch: Branch, answer: Promise<A>, event: (answer: A) => E): Promise<E> {
    return this.#await(branch, answer, 'only bounded', event)
  }

  cutAll(): void {
    for (const [branch, { kind }] of this.#branches) if (kind === 'cut when over') branch.cut()
  }

  /** Nothing is awaited any more. */
  stop(): void {
    this.#cancelTimer?.()
  }

  #await<A, E>(
    branch: Branch,
    answer: Promise<A>,
    kind: Unanswered['kind'],
    event: (answer: A) => E,
  ): Promise<E> {
    this.#branches.set(branch, { since: this.#world.now(), kind })
    this.#cancelTimer ??= this.#startTimer(LIMITS.answerMs)
    return answer.then(
      (answered) => {
        this.#branches.delete(branch)
        return event(answered)
      },
      (error: unknown) => {
        this.#branches.delete(branch)
        throw error
      },
    )
  }

  #startTimer(ms: number): () => void {
    const cutOverdue = (): void => {
      this.#cancelTimer = undefined
      const now = this.#world.now()
      let next = Infinity
      for (const [branch, { since }] of this.#branches) {
        const leftMs = since + LIMITS.answerMs - now
        if (leftMs <= 0) branch.cut()
        else next = Math.min(next, leftMs)
      }
      if (next < Infinity) this.#cancelTimer = this.#startTimer(next)
    }
    return this.#world.timer(ms, cutOverdue, 'background')
  }
}

/** Looks up what a plan names. */
export function named<T>(things: ReadonlyMap<string, T>, name: string): T {
  const thing = things.get(name)
  invariant(thing !== undefined, `the plan names ${name}, which did not join`)
  return thing
}
