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
  #isTold = false
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
        this.#isTold = true
        return 'tell'
      default:
        return assertNever(effect)
    }
  }

  #claim(): Promise<twoPhase.TwoPhaseEvent> {
    const decider = this.#branch(this.#plan.decider)
    const claim = decider.claim(this.#mark)
    return this.#awaited.answer(decider, claim, (answer) => ({ type: 'claimed', answer }))
  }

  #commitReader(branch: string): Promise<twoPhase.TwoPhaseEvent> {
    const reader = this.#branch(branch)
    const commit = reader.commit()
    return this.#awaited.answer(reader, commit, (answer) => ({
      type: 'reader-committed',
      branch,
      answer,
    }))
  }

  #vote(branch: string): Promise<twoPhase.TwoPhaseEvent> {
    const voter = this.#branch(branch)
    const vote = voter.vote(this.#mark, this.#gid(branch))
    return this.#awaited.answer(voter, vote, (answer) => ({ type: 'voted', branch, answer }))
  }

  #decide(): Promise<twoPhase.TwoPhaseEvent> {
    const decider = this.#branch(this.#plan.decider)
    const commit = decider.commit()
    return this.#awaited.answer(decider, commit, (answer) => ({ type: 'decided', answer }))
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

  #end(name: string, decision: 'commit' | 'abort'): Promise<twoPhase.TwoPhaseEvent> {
    if (decision === 'commit') this.#applied.add(name)
    const branch = this.#branch(name)
    const gid = this.#plan.voters.includes(name) ? this.#gid(name) : undefined
    const end = branch.end(decision, gid)
    return this.#awaited.bounded(branch, end, (answer) => ({ type: 'ended', branch: name, answer }))
  }

  async #handOver(name: string): Promise<twoPhase.TwoPhaseEvent> {
    this.#branch(name).leave()
    // The decider prepared nothing: what became of it is what its register says.
    if (name === this.#plan.decider) return { type: 'recovered', branch: name, result: 'left' }
    const { recovery, participants, over } = this.#commitment
    const known = this.#applied.has(name) ? 'commit' : 'nothing'
    const participant = named(participants, name)
    const isWaitedFor = (): boolean => !this.#isTold && !over.isOver
    const result = await recovery.handOver(participant, this.#gid(name), known, isWaitedFor)
    return { type: 'recovered', branch: name, result }
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
    case 'commit-reader': {
      const { branch } = effect
      const reader = named(branches, branch)
      return awaited.answer(reader, reader.commit(), (answer) => ({
        type: 'reader-committed',
        branch,
        answer,
      }))
    }
    case 'commit': {
      const writer = named(branches, effect.branch)
      return awaited.answer(writer, writer.commit(), (answer) => ({ type: 'committed', answer }))
    }
    case 'undo': {
      const { branch } = effect
      const undone = named(branches, branch)
      return awaited.bounded(undone, undone.end('abort', undefined), (answer) => ({
        type: 'ended',
        branch,
        answer,
      }))
    }
    case 'tell-committed':
    case 'tell-aborted':
    case 'tell-unknown':
      return 'tell'
    default:
      return assertNever(effect)
  }
}
