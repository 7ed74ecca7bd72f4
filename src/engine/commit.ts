/**
 * Which port method each message of the owner's machines is.
 *
 * Owns: performing the messages of one transaction.
 * Never: has a rule of its own about order; the machines read that from the ordering table.
 */
import { assertNever, onePhase, twoPhase } from '../protocol/index.ts'
import type { Gid, OnePhasePlan, TransactionId, TwoPhasePlan } from '../protocol/index.ts'
import type { Branch, Mark, Participant, World } from '../ports/index.ts'
import { backoffMs } from './backoff.ts'
import { Awaited, interpret, named } from './interpret.ts'
import type { Performed, Running } from './interpret.ts'
import type { Over } from './over.ts'
import type { Recovery } from './recover.ts'

export interface Commitment {
  readonly branches: ReadonlyMap<string, Branch>
  readonly participants: ReadonlyMap<string, Participant>
  readonly recovery: Recovery
  readonly world: World
  readonly over: Over
}

const ASK_BACKOFF = { firstMs: 20, longestMs: 1_000 }

export function commitTwoPhase(
  plan: TwoPhasePlan,
  id: TransactionId,
  resolveWhen: 'applied' | 'decided',
  commitment: Commitment,
): Running<twoPhase.TwoPhaseState> {
  const messages = new TwoPhaseMessages(plan, id, commitment)
  return interpret<twoPhase.TwoPhaseState, twoPhase.TwoPhaseEvent, twoPhase.TwoPhaseEffect>(
    {
      begin: twoPhase.begin(plan, resolveWhen),
      step: (state, event) => twoPhase.step(state, event),
      isOver: twoPhase.isOver,
      perform: (effect) => messages.perform(effect),
      over: commitment.over,
      isCommitOut: (state) => state.decision === 'sent',
      onOver: () => {
        messages.cut()
      },
      onFinished: () => {
        messages.stop()
      },
    },
    commitment.world,
  )
}

class TwoPhaseMessages {
  readonly #plan: TwoPhasePlan
  readonly #id: TransactionId
  readonly #mark: Mark
  readonly #commitment: Commitment
  readonly #awaited: Awaited
  #asks = 0
  /** Branches whose COMMIT PREPARED was sent: that follows only a durable commit. */
  readonly #applied = new Set<string>()

  constructor(plan: TwoPhasePlan, id: TransactionId, commitment: Commitment) {
    this.#plan = plan
    this.#id = id
    this.#mark = { id, participants: [plan.decider, ...plan.voters] }
    this.#commitment = commitment
    this.#awaited = new Awaited(commitment.world)
  }

  /** Turns what is unanswered into `unknown` now; but for ends, which free everybody else. */
  cut(): void {
    this.#awaited.cutAll()
  }

  stop(): void {
    this.#awaited.stop()
  }

  perform(effect: twoPhase.TwoPhaseEffect): Performed<twoPhase.TwoPhaseEvent> {
    switch (effect.send) {
      case 'claim':
        return this.#claim()
      case 'commit-reader':
        return this.#commitReader(effect.branch)
      case 'vote':
        return this.#vote(effect.branch)
      case 'decide':
        return this.#decide()
      case 'ask':
        return this.#ask()
      case 'apply':
        return this.#end(effect.branch, 'commit')
      case 'undo':
        return this.#end(effect.branch, 'abort')
      case 'hand-over':
        return this.#handOver(effect.branch)
      case 'tell-committed':
      case 'tell-aborted':
      case 'tell-unknown':
        return 'tell'
      default:
        return assertNever(effect)
    }
  }

  async #claim(): Promise<twoPhase.TwoPhaseEvent> {
    const decider = this.#branch(this.#plan.decider)
    const answer = await this.#awaited.answer(decider, () => decider.claim(this.#mark))
    return { type: 'claimed', answer }
  }

  async #commitReader(name: string): Promise<twoPhase.TwoPhaseEvent> {
    const reader = this.#branch(name)
    const answer = await this.#awaited.answer(reader, () => reader.commit())
    return { type: 'reader-committed', branch: name, answer }
  }

  async #vote(name: string): Promise<twoPhase.TwoPhaseEvent> {
    const voter = this.#branch(name)
    const answer = await this.#awaited.answer(voter, () => voter.vote(this.#mark, this.#gid(name)))
    return { type: 'voted', branch: name, answer }
  }

  async #decide(): Promise<twoPhase.TwoPhaseEvent> {
    const decider = this.#branch(this.#plan.decider)
    const answer = await this.#awaited.answer(decider, () => decider.commit())
    return { type: 'decided', answer }
  }

  async #ask(): Promise<twoPhase.TwoPhaseEvent> {
    const { world, over, participants } = this.#commitment
    this.#asks += 1
    if (this.#asks > 1) {
      await world.sleep(backoffMs(ASK_BACKOFF, this.#asks - 1, world), over.signal)
    }
    const answer = await named(participants, this.#plan.decider).ask(this.#id)
    return { type: 'asked', answer }
  }

  async #end(name: string, decision: 'commit' | 'abort'): Promise<twoPhase.TwoPhaseEvent> {
    if (decision === 'commit') this.#applied.add(name)
    const branch = this.#branch(name)
    const gid = this.#plan.voters.includes(name) ? this.#gid(name) : undefined
    const answer = await this.#awaited.bounded(branch, branch.end(decision, gid))
    return { type: 'ended', branch: name, answer }
  }

  async #handOver(name: string): Promise<twoPhase.TwoPhaseEvent | undefined> {
    this.#branch(name).leave()
    // The decider prepared nothing: what became of it is what its register says.
    if (name === this.#plan.decider) return undefined
    const { recovery, participants, over } = this.#commitment
    const known = this.#applied.has(name) ? 'commit' : 'nothing'
    const participant = named(participants, name)
    const result = await recovery.handOver(participant, this.#gid(name), known, over.signal)
    return result === 'left' ? undefined : { type: 'recovered', branch: name, result }
  }

  #branch(name: string): Branch {
    return named(this.#commitment.branches, name)
  }

  #gid(branch: string): Gid {
    return { ...this.#id, branch }
  }
}

export function commitOnePhase(
  plan: OnePhasePlan,
  commitment: Commitment,
): Running<onePhase.OnePhaseState> {
  const awaited = new Awaited(commitment.world)
  return interpret<onePhase.OnePhaseState, onePhase.OnePhaseEvent, onePhase.OnePhaseEffect>(
    {
      begin: onePhase.begin(plan),
      step: (state, event) => onePhase.step(state, event),
      isOver: onePhase.isOver,
      perform: (effect) => performOnePhase(effect, commitment.branches, awaited),
      over: commitment.over,
      isCommitOut: (state) => state.commit === 'sent',
      onOver: () => {
        awaited.cutAll()
      },
      onFinished: () => {
        awaited.stop()
      },
    },
    commitment.world,
  )
}

function performOnePhase(
  effect: onePhase.OnePhaseEffect,
  branches: ReadonlyMap<string, Branch>,
  awaited: Awaited,
): Performed<onePhase.OnePhaseEvent> {
  switch (effect.send) {
    case 'commit-reader':
      return awaited
        .answer(named(branches, effect.branch), (reader) => reader.commit())
        .then((answer) => ({ type: 'reader-committed', branch: effect.branch, answer }))
    case 'commit':
      return awaited
        .answer(named(branches, effect.branch), (writer) => writer.commit())
        .then((answer) => ({ type: 'committed', answer }))
    case 'undo': {
      const branch = named(branches, effect.branch)
      return awaited
        .bounded(branch, branch.end('abort', undefined))
        .then((answer) => ({ type: 'ended', branch: effect.branch, answer }))
    }
    case 'tell-committed':
    case 'tell-aborted':
    case 'tell-unknown':
      return 'tell'
    default:
      return assertNever(effect)
  }
}
