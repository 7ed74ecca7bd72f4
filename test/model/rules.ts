/**
 * What the parties of the model go by: the shipped machines, or one of them with a planted fault.
 *
 * Owns: the shipped rules, and remembering what a machine answered to the same event before.
 * Promises: what is explored is the `step` that is shipped; nothing of it is written again here.
 */
import { conclude, recovery, twoPhase } from '../../src/protocol/index.ts'
import type { AskAnswer, Conclusion, RecoveryMessage } from '../../src/protocol/index.ts'

export interface Rules {
  readonly ownerStep: (
    state: twoPhase.TwoPhaseState,
    event: twoPhase.TwoPhaseEvent,
  ) => twoPhase.TwoPhaseStep
  readonly recoveryStep: (
    state: recovery.RecoveryState,
    event: recovery.RecoveryEvent,
  ) => recovery.RecoveryStep
  /** What `outcome()` makes of its ask. */
  readonly conclude: (answer: AskAnswer) => Conclusion
  /** Whether *Ask* answers `found` after its own COMMIT, or as soon as it has seen the row. */
  readonly obeys: 'durable' | 'seen'
}

export const SHIPPED: Rules = {
  ownerStep: (state, event) => twoPhase.step(state, event),
  recoveryStep: (state, event) => recovery.step(state, event),
  conclude,
  obeys: 'durable',
}

export const PLAN = {
  protocol: 'two-phase',
  readers: [],
  decider: 'D',
  voters: ['P'],
} as const satisfies Parameters<typeof twoPhase.begin>[0]

/** A state of a machine, with a number that stands for it in a world's key. */
export interface Node<State, Effect> {
  readonly id: number
  readonly state: State
  readonly steps: Map<string, Stepped<State, Effect>>
}

export interface Stepped<State, Effect> {
  readonly node: Node<State, Effect>
  readonly effects: readonly Effect[]
}

/** All states that one machine was seen in. */
export class Machine<State, Event, Effect> {
  readonly #nodes = new Map<string, Node<State, Effect>>()
  readonly #step: (state: State, event: Event) => { state: State; effects: readonly Effect[] }
  readonly #reduce: (state: State) => State

  /** `reduce` drops what the machine only keeps for its reader. */
  constructor(
    step: (state: State, event: Event) => { state: State; effects: readonly Effect[] },
    reduce: (state: State) => State = (state) => state,
  ) {
    this.#step = step
    this.#reduce = reduce
  }

  states(): readonly State[] {
    return [...this.#nodes.values()].map((node) => node.state)
  }

  node(state: State): Node<State, Effect> {
    const reduced = this.#reduce(state)
    const key = JSON.stringify(reduced)
    const known = this.#nodes.get(key)
    if (known !== undefined) return known
    const node = { id: this.#nodes.size, state: reduced, steps: new Map() }
    this.#nodes.set(key, node)
    return node
  }

  step(before: Node<State, Effect>, name: string, event: Event): Stepped<State, Effect> {
    const known = before.steps.get(name)
    if (known !== undefined) return known
    const { state, effects } = this.#step(before.state, event)
    const stepped = { node: this.node(state), effects }
    before.steps.set(name, stepped)
    return stepped
  }
}

export type OwnerNode = Node<twoPhase.TwoPhaseState, twoPhase.TwoPhaseEffect>
export type RecoveryNode = Node<recovery.RecoveryState, RecoveryMessage>

export interface Machines {
  readonly rules: Rules
  readonly owner: Machine<twoPhase.TwoPhaseState, twoPhase.TwoPhaseEvent, twoPhase.TwoPhaseEffect>
  readonly recovery: Machine<recovery.RecoveryState, recovery.RecoveryEvent, RecoveryMessage>
}

export function machinesOf(rules: Rules): Machines {
  return {
    rules,
    // The list of troubles is told to the caller and decides nothing: without it, histories that
    // can only go on alike are one state.
    owner: new Machine(rules.ownerStep, (state) => ({ ...state, trouble: [] })),
    recovery: new Machine(rules.recoveryStep),
  }
}
