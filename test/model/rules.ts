/**
 * What the parties of the model go by: the shipped machines, or one of them with a planted fault.
 *
 * Owns: the shipped rules, and remembering what a machine answered to the same event before.
 * Promises: what is explored is the `step` that is shipped; nothing of it is written again here.
 */
import { conclude, forgetting, recovery, twoPhase, witness } from '../../src/protocol/index.ts'
import type {
  AskAnswer,
  Conclusion,
  RecoveryMessage,
  WitnessMessage,
} from '../../src/protocol/index.ts'

export interface Rules {
  readonly ownerStep: (
    state: twoPhase.TwoPhaseState,
    event: twoPhase.TwoPhaseEvent,
  ) => twoPhase.TwoPhaseStep
  readonly recoveryStep: (
    state: recovery.RecoveryState,
    event: recovery.RecoveryEvent,
  ) => recovery.RecoveryStep
  readonly forgettingStep: (
    state: forgetting.ForgettingState,
    event: forgetting.ForgettingEvent,
  ) => forgetting.ForgettingStep
  readonly witnessStep: (
    state: witness.WitnessState,
    event: witness.WitnessEvent,
  ) => witness.WitnessStep
  /** What `outcome()` makes of its ask. */
  readonly conclude: (answer: AskAnswer) => Conclusion
  /** Whether *Ask* answers `found` after its own COMMIT, or as soon as it has seen the row. */
  readonly obeys: 'durable' | 'seen'
  /** When *Ask* reads the memory. */
  readonly memory: 'while its row holds the key' | 'before its insert'
  /** Whether the memory is of one server, or of whichever is there. */
  readonly server: 'compared' | 'ignored'
  /** Which epoch the owner names. */
  readonly epoch: 'durable' | 'visible'
  readonly claims: 'of the present server' | 'of any server'
  /** What a cleaner takes for a receipt. */
  readonly receipts: 'read' | 'not listed'
  /** How a cleaner learns that branch and receipt are gone. */
  readonly absence: 'asked' | 'from two readings'
  /** Whether a DELETE that finds nothing has a write of its own before its COMMIT. */
  readonly deletions: 'always write' | 'write what they find'
}

export const SHIPPED: Rules = {
  ownerStep: (state, event) => twoPhase.step(state, event),
  recoveryStep: (state, event) => recovery.step(state, event),
  forgettingStep: (state, event) => forgetting.step(state, event),
  witnessStep: (state, event) => witness.step(state, event),
  conclude,
  obeys: 'durable',
  memory: 'while its row holds the key',
  server: 'compared',
  epoch: 'durable',
  claims: 'of the present server',
  receipts: 'read',
  absence: 'asked',
  deletions: 'always write',
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
export type ForgettingNode = Node<forgetting.ForgettingState, forgetting.ForgettingEffect>
export type WitnessNode = Node<witness.WitnessState, WitnessMessage>

export interface Machines {
  readonly rules: Rules
  readonly owner: Machine<twoPhase.TwoPhaseState, twoPhase.TwoPhaseEvent, twoPhase.TwoPhaseEffect>
  readonly recovery: Machine<recovery.RecoveryState, recovery.RecoveryEvent, RecoveryMessage>
  readonly forgetting: Machine<
    forgetting.ForgettingState,
    forgetting.ForgettingEvent,
    forgetting.ForgettingEffect
  >
  readonly witness: Machine<witness.WitnessState, witness.WitnessEvent, WitnessMessage>
}

export function machinesOf(rules: Rules): Machines {
  return {
    rules,
    // The list of troubles is told to the caller and decides nothing: without it, histories that
    // can only go on alike are one state.
    owner: new Machine(rules.ownerStep, (state) => ({ ...state, trouble: [] })),
    recovery: new Machine(rules.recoveryStep),
    forgetting: new Machine(rules.forgettingStep),
    witness: new Machine(rules.witnessStep),
  }
}
