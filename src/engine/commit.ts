/**
 * Which port method each message of the owner's machines is.
 *
 * Owns: performing the messages of one transaction.
 * Never: has a rule of its own about order; the machines read that from the ordering table.
 */
import { assertNever, onePhase, twoPhase } from '../protocol/index.ts'
import type { Gid, OnePhasePlan, TransactionId, TwoPhasePlan } from '../protocol/index.ts'
import type { Branch, Mark, Participant, Tracer, World } from '../ports/index.ts'
import { backoffMs } from './backoff.ts'
import { Awaited, interpret, named } from './interpret.ts'
import type { Hearer, Machine, Performed, Running } from './interpret.ts'
import type { Meters } from './meters.ts'
import type { Over } from './over.ts'
import type { Recovery } from './recover.ts'
import { ask } from './traced.ts'

export interface Commitment {
  readonly branches: readonly Branch[]
  readonly participant: (name: string) => Participant
  readonly recovery: Recovery
  readonly world: World
  readonly meters: Meters
  readonly over: Over
  /** After which `over` comes, at the latest. */
  readonly timeoutMs: number
  /** Undefined while nobody listens. The branches tell it themselves. */
  readonly tracer: Tracer | undefined
  /** Called once, when nothing is left for this process to do. */
  readonly onFinished: () => void
}

type TwoPhaseHearer = Hearer<twoPhase.TwoPhaseEvent>

const ASK_BACKOFF = { firstMs: 20, longestMs: 1_000 }

export function commitTwoPhase(
  plan: TwoPhasePlan,
  id: TransactionId,
  resolveWhen: 'applied' | 'decided',
  commitment: Commitment,
): Running<twoPhase.TwoPhaseState> {
  const messages = new TwoPhaseMessages(plan, id, resolveWhen, commitment)
  return interpret(messages, commitment.world)
}

class TwoPhaseMessages implements Machine<
  twoPhase.TwoPhaseState,
  twoPhase.TwoPhaseEvent,
  twoPhase.TwoPhaseEffect
> {
  readonly begin: twoPhase.TwoPhaseState
  readonly over: Over
  readonly #plan: TwoPhasePlan
  readonly #id: TransactionId
  readonly #mark: Mark
  readonly #commitment: Commitment
  readonly #awaited: Awaited<twoPhase.TwoPhaseEvent>
  #asks = 0
  #isTold = false
  /** Branches whose COMMIT PREPARED was sent: that follows only a durable commit. */
  readonly #applied: string[] = []

  constructor(
    plan: TwoPhasePlan,
    id: TransactionId,
    resolveWhen: 'applied' | 'decided',
    commitment: Commitment,
  ) {
    this.begin = twoPhase.begin(plan, resolveWhen)
    this.over = commitment.over
    this.#plan = plan
    this.#id = id
    this.#mark = { id, participants: [plan.decider, ...plan.voters] }
    this.#commitment = commitment
    this.#awaited = new Awaited(commitment.world, commitment.timeoutMs, commitment.meters)
  }

  step(state: twoPhase.TwoPhaseState, event: twoPhase.TwoPhaseEvent): twoPhase.TwoPhaseStep {
    return twoPhase.step(state, event)
  }

  isOver(state: twoPhase.TwoPhaseState): boolean {
    return twoPhase.isOver(state)
  }

  isCommitOut(state: twoPhase.TwoPhaseState): boolean {
    return state.decision === 'sent'
  }

  /** Turns what is unanswered into `unknown` now; but for ends, which free everybody else. */
  onOver(): void {
    this.#awaited.cutAll()
  }

  onFinished(): void {
    this.#awaited.stop()
    this.#commitment.onFinished()
  }

  perform(effect: twoPhase.TwoPhaseEffect, hearer: TwoPhaseHearer): Performed {
    switch (effect.send) {
      case 'claim':
        return this.#claim(hearer)
      case 'commit-reader':
        return this.#commitReader(effect.branch, hearer)
      case 'vote':
        return this.#vote(effect.branch, hearer)
      case 'decide':
        return this.#decide(hearer)
      case 'ask':
        return hearLater(this.#ask(), hearer)
      case 'apply':
        return this.#end(effect.branch, 'commit', hearer)
      case 'undo':
        return this.#end(effect.branch, 'abort', hearer)
      case 'hand-over':
        return hearLater(this.#handOver(effect.branch), hearer)
      case 'tell-committed':
      case 'tell-aborted':
      case 'tell-unknown':
        this.#isTold = true
        this.#awaited.bound()
        return 'tell'
      default:
        return assertNever(effect)
    }
  }

  #claim(hearer: TwoPhaseHearer): Performed {
    const decider = this.#branch(this.#plan.decider)
    const claim = decider.claim(this.#mark)
    return this.#awaited.answer('claim', decider, claim, hearer, (answer) => ({
      type: 'claimed',
      answer,
    }))
  }

  #commitReader(branch: string, hearer: TwoPhaseHearer): Performed {
    const reader = this.#branch(branch)
    return this.#awaited.answer('commit-reader', reader, reader.commit(), hearer, (answer) => ({
      type: 'reader-committed',
      branch,
      answer,
    }))
  }

  #vote(branch: string, hearer: TwoPhaseHearer): Performed {
    const voter = this.#branch(branch)
    const vote = voter.vote(this.#mark, this.#gid(branch))
    return this.#awaited.answer('vote', voter, vote, hearer, (answer) => ({
      type: 'voted',
      branch,
      answer,
    }))
  }

  #decide(hearer: TwoPhaseHearer): Performed {
    const decider = this.#branch(this.#plan.decider)
    const commit = decider.commit()
    return this.#awaited.answer('decide', decider, commit, hearer, (answer) => ({
      type: 'decided',
      answer,
    }))
  }

  async #ask(): Promise<twoPhase.TwoPhaseEvent> {
    const { world, over, participant, tracer } = this.#commitment
    this.#asks += 1
    if (this.#asks > 1) {
      await world.sleep(backoffMs(ASK_BACKOFF, this.#asks - 1, world), over.signal)
    }
    const answer = await ask(tracer, participant(this.#plan.decider), this.#id)
    return { type: 'asked', answer }
  }

  #end(name: string, decision: 'commit' | 'abort', hearer: TwoPhaseHearer): Performed {
    if (decision === 'commit') this.#applied.push(name)
    const branch = this.#branch(name)
    const gid = this.#plan.voters.includes(name) ? this.#gid(name) : undefined
    const phase = decision === 'commit' ? 'apply' : 'undo'
    return this.#awaited.bounded(phase, branch, branch.end(decision, gid), hearer, (answer) => ({
      type: 'ended',
      branch: name,
      answer,
    }))
  }

  async #handOver(name: string): Promise<twoPhase.TwoPhaseEvent> {
    this.#branch(name).leave()
    // The decider prepared nothing: what became of it is what its register says.
    if (name === this.#plan.decider) return { type: 'recovered', branch: name, result: 'left' }
    const { recovery, participant, over } = this.#commitment
    const known = this.#applied.includes(name) ? 'commit' : 'nothing'
    const isWaitedFor = (): boolean => !this.#isTold && !over.isOver
    const gid = this.#gid(name)
    const result = await recovery.handOver(participant(name), gid, known, isWaitedFor)
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
  return interpret(new OnePhaseMessages(plan, commitment), commitment.world)
}

class OnePhaseMessages implements Machine<
  onePhase.OnePhaseState,
  onePhase.OnePhaseEvent,
  onePhase.OnePhaseEffect
> {
  readonly begin: onePhase.OnePhaseState
  readonly over: Over
  readonly #commitment: Commitment
  readonly #awaited: Awaited<onePhase.OnePhaseEvent>

  constructor(plan: OnePhasePlan, commitment: Commitment) {
    this.begin = onePhase.begin(plan)
    this.over = commitment.over
    this.#commitment = commitment
    this.#awaited = new Awaited(commitment.world, commitment.timeoutMs, commitment.meters)
  }

  step(state: onePhase.OnePhaseState, event: onePhase.OnePhaseEvent): onePhase.OnePhaseStep {
    return onePhase.step(state, event)
  }

  isOver(state: onePhase.OnePhaseState): boolean {
    return onePhase.isOver(state)
  }

  isCommitOut(state: onePhase.OnePhaseState): boolean {
    return state.commit === 'sent'
  }

  onOver(): void {
    this.#awaited.cutAll()
  }

  onFinished(): void {
    this.#awaited.stop()
    this.#commitment.onFinished()
  }

  perform(effect: onePhase.OnePhaseEffect, hearer: Hearer<onePhase.OnePhaseEvent>): Performed {
    switch (effect.send) {
      case 'commit-reader': {
        const { branch } = effect
        const reader = named(this.#commitment.branches, branch)
        return this.#awaited.answer('commit-reader', reader, reader.commit(), hearer, (answer) => ({
          type: 'reader-committed',
          branch,
          answer,
        }))
      }
      case 'commit': {
        const writer = named(this.#commitment.branches, effect.branch)
        return this.#awaited.answer('decide', writer, writer.commit(), hearer, (answer) => ({
          type: 'committed',
          answer,
        }))
      }
      case 'undo': {
        const { branch } = effect
        const undone = named(this.#commitment.branches, branch)
        return this.#awaited.bounded(
          'undo',
          undone,
          undone.end('abort', undefined),
          hearer,
          (answer) => ({
            type: 'ended',
            branch,
            answer,
          }),
        )
      }
      case 'tell-committed':
      case 'tell-aborted':
      case 'tell-unknown':
        this.#awaited.bound()
        return 'tell'
      default:
        return assertNever(effect)
    }
  }
}

/** Of what is not bounded here. */
function hearLater<Event>(event: Promise<Event>, hearer: Hearer<Event>): Performed {
  event.then(
    (heard) => {
      hearer.hear(heard)
    },
    (error: unknown) => {
      hearer.fail(error)
    },
  )
  return 'sent'
}
