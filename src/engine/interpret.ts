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
import type { Meters, Phase } from './meters.ts'
import type { Over } from './over.ts'

/** A machine that runs: `told` when the caller may be told. */
export interface Running<State> {
  readonly told: Promise<State>
  /** Tells the machine that a handle was used after the work had ended. */
  readonly object: (branch: string, cause: unknown) => void
}

/** Hears the answer to a message; or that performing it failed, which is a bug. */
export interface Hearer<Event> {
  hear(event: Event): void
  fail(error: unknown): void
}

/** Whether a message was sent, whose answer is heard later; or the caller is to be told. */
export type Performed = 'sent' | 'tell'

type AnyEvent<Event> =
  | Event
  | { readonly type: 'start' }
  | { readonly type: 'objected'; readonly branch: string; readonly cause: unknown }
  | { readonly type: 'over'; readonly cause: unknown }

/** A machine of the protocol, and what its messages are on the ports. */
export interface Machine<State, Event, Effect> {
  readonly begin: State
  readonly over: Over
  step(
    state: State,
    event: AnyEvent<Event>,
  ): { readonly state: State; readonly effects: readonly Effect[] }
  isOver(state: State): boolean
  /** Whether a COMMIT was sent and is not answered: worth a moment more of waiting. */
  isCommitOut(state: State): boolean
  perform(effect: Effect, hearer: Hearer<Event>): Performed
  onOver(): void
  /** Called once: nothing is left for this process to do. */
  onFinished(): void
}

export function interpret<State, Event, Effect>(
  machine: Machine<State, Event, Effect>,
  world: World,
): Running<State> {
  const interpreter = new Interpreter(machine, world)
  interpreter.start()
  return interpreter
}

class Interpreter<State, Event, Effect> implements Running<State>, Hearer<Event> {
  readonly #machine: Machine<State, Event, Effect>
  readonly #world: World
  readonly #told = Promise.withResolvers<State>()
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

  start(): void {
    this.hear({ type: 'start' })
    const stopWaiting = this.#machine.over.whenOver(() => {
      void this.#over()
    })
    if (this.#isFinished) stopWaiting()
    else this.#stopWaiting = stopWaiting
  }

  object(branch: string, cause: unknown): void {
    this.hear({ type: 'objected', branch, cause })
  }

  /** Never throws. */
  hear(event: AnyEvent<Event>): void {
    if (this.#hasFailed) return
    const machine = this.#machine
    try {
      const next = machine.step(this.#state, event)
      const wasCommitOut = machine.isCommitOut(this.#state)
      this.#state = next.state
      if (wasCommitOut && !machine.isCommitOut(next.state)) this.#onCommitAnswered()
      for (const effect of next.effects) {
        if (machine.perform(effect, this) === 'tell') this.#told.resolve(this.#state)
      }
      if (machine.isOver(this.#state)) this.#finish()
    } catch (error) {
      this.fail(error)
    }
  }

  /** A bug: nothing more is sent, and whatever is prepared is left to recovery. */
  fail(error: unknown): void {
    this.#hasFailed = true
    this.#told.reject(error instanceof AssentError ? error : bug(error))
    this.#finish()
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#stopWaiting()
    this.#machine.onFinished()
  }

  async #over(): Promise<void> {
    if (this.#machine.isCommitOut(this.#state)) {
      await moment(this.#world, LIMITS.commitAnswerMs, (answered) => {
        this.#onCommitAnswered = answered
      })
    }
    this.hear({ type: 'over', cause: this.#machine.over.reason })
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
  readonly branch: Branch
  readonly phase: Phase
  /** On `World.now()`. */
  readonly sentAt: number
  /** When its bound began, on `World.now()`; undefined while there is none. */
  since: number | undefined
  /** Ending a branch is what frees everybody else: it is only bounded. */
  readonly kind: 'cut when over' | 'only bounded'
}

/**
 * The branches that have a message of ours unanswered, and the bound on waiting for each. While a
 * caller waits whose own time is no longer than that, it is bound enough.
 */
export class Awaited<Event> {
  readonly #world: World
  readonly #meters: Meters
  #isBounding: boolean
  readonly #unanswered: Unanswered[] = []
  /** One timer for all of a transaction's messages. */
  #cancelTimer: (() => void) | undefined
  /** While an answer is heard: when it came, which is when whatever follows from it is sent. */
  #heardAt: number | undefined

  constructor(world: World, timeoutMs: number, meters: Meters) {
    this.#world = world
    this.#meters = meters
    this.#isBounding = timeoutMs > LIMITS.answerMs
  }

  /** Nobody waits any more: from here on each message is bounded. */
  bound(): void {
    if (this.#isBounding) return
    this.#isBounding = true
    for (const unanswered of this.#unanswered) this.#beginBound(unanswered)
  }

  /** Has the answer heard, as an event. `cutAll` may turn it into `unknown`. */
  answer<A>(
    phase: Phase,
    branch: Branch,
    answer: Promise<A>,
    hearer: Hearer<Event>,
    event: (answer: A) => Event,
  ): Performed {
    return this.#await(phase, branch, 'cut when over', answer, hearer, event)
  }

  /** The same of an answer that is only bounded. */
  bounded<A>(
    phase: Phase,
    branch: Branch,
    answer: Promise<A>,
    hearer: Hearer<Event>,
    event: (answer: A) => Event,
  ): Performed {
    return this.#await(phase, branch, 'only bounded', answer, hearer, event)
  }

  cutAll(): void {
    for (const { branch, kind } of this.#unanswered) if (kind === 'cut when over') branch.cut()
  }

  /** Nothing is awaited any more. */
  stop(): void {
    this.#cancelTimer?.()
  }

  #await<A>(
    phase: Phase,
    branch: Branch,
    kind: Unanswered['kind'],
    answer: Promise<A>,
    hearer: Hearer<Event>,
    event: (answer: A) => Event,
  ): Performed {
    const sentAt = this.#heardAt ?? this.#world.now()
    const unanswered: Unanswered = { branch, phase, sentAt, since: undefined, kind }
    this.#unanswered.push(unanswered)
    if (this.#isBounding) this.#beginBound(unanswered)
    answer.then(
      (answered) => {
        const now = this.#isAnswered(unanswered)
        this.#heardAt = now
        hearer.hear(event(answered))
        this.#heardAt = undefined
      },
      (error: unknown) => {
        this.#isAnswered(unanswered)
        hearer.fail(error)
      },
    )
    return 'sent'
  }

  /** @returns when */
  #isAnswered(answered: Unanswered): number {
    this.#unanswered.splice(this.#unanswered.indexOf(answered), 1)
    const now = this.#world.now()
    this.#meters.answered(answered.branch.name, answered.phase, now - answered.sentAt)
    return now
  }

  #beginBound(unanswered: Unanswered): void {
    unanswered.since = this.#world.now()
    this.#cancelTimer ??= this.#startTimer(LIMITS.answerMs)
  }

  #startTimer(ms: number): () => void {
    const cutOverdue = (): void => {
      this.#cancelTimer = undefined
      const now = this.#world.now()
      let next = Infinity
      for (const { branch, since = now } of this.#unanswered) {
        const leftMs = since + LIMITS.answerMs - now
        if (leftMs <= 0) branch.cut()
        else next = Math.min(next, leftMs)
      }
      if (next < Infinity) this.#cancelTimer = this.#startTimer(next)
    }
    return this.#world.timer(ms, cutOverdue, 'background')
  }
}

/** Looks up what a plan names, among the few that there are. */
export function named<T extends { readonly name: string }>(things: readonly T[], name: string): T {
  const thing = things.find((one) => one.name === name)
  invariant(thing !== undefined, `the plan names ${name}, which did not join`)
  return thing
}
