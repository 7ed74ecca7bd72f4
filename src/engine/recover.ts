/**
 * Recovery: rounds of the recovery machine, for branches that were listed or handed over.
 *
 * Owns: performing the machine's messages, and that a process works on a branch once at a time.
 * Promises: each round starts from nothing, so that no fact in it is older than the round; a branch
 * that stays in doubt stays visible, with its reason.
 * Never: decides anything. The machine does, and the machine only obeys the register.
 */
import { assertNever, formatGid, formatTransactionId, recovery } from '../protocol/index.ts'
import type { Gid, RecoveryMessage } from '../protocol/index.ts'
import type { Participant, Tracing, World } from '../ports/index.ts'
import { backoffMs } from './backoff.ts'
import { Elsewhere } from './elsewhere.ts'
import { LIMITS } from './limits.ts'
import { codeOf } from './report-events.ts'
import type { InDoubt, InDoubtReason, Report } from './reports.ts'

export interface RecoverySetting {
  readonly participants: ReadonlyMap<string, Participant>
  readonly world: World
  readonly report: (report: Report) => void
  readonly signal: AbortSignal
  /** Default: one of its own. */
  readonly elsewhere?: Elsewhere
  /** Told of every round. Default: nobody is. */
  readonly tracing?: Tracing
}

const HAND_OVER_BACKOFF = { firstMs: 50, longestMs: 2_000 }

export class Recovery {
  readonly #setting: RecoverySetting
  readonly #rounds = new Map<string, Promise<recovery.Verdict>>()
  readonly #elsewhere: Elsewhere

  constructor(setting: RecoverySetting) {
    this.#setting = setting
    this.#elsewhere = setting.elsewhere ?? new Elsewhere(setting.participants, setting.world)
  }

  /** One round for a branch that is listed, or was, at `participant`. Never rejects. */
  round(participant: Participant, gid: Gid): Promise<recovery.Verdict> {
    const key = `${participant.name} ${formatGid(gid)}`
    const running = this.#rounds.get(key)
    if (running !== undefined) return running
    const round = this.#traced(participant, gid).finally(() => this.#rounds.delete(key))
    this.#rounds.set(key, round)
    return round
  }

  #traced(participant: Participant, gid: Gid): Promise<recovery.Verdict> {
    const tracer = this.#setting.tracing?.tracer
    const run = (): Promise<recovery.Verdict> => this.#run(participant, gid)
    if (tracer === undefined) return run()
    const { app, txid, register } = gid
    const span = { app, txid, participant: participant.name, register }
    return tracer.trace('recovery-round', span, run, (context, settled) => {
      if (settled.kind === 'resolved') context.verdict = settled.value
      else context.errorCode = codeOf(settled.error)
    })
  }

  /**
   * Rounds until the branch has ended, for a transaction of this process: as long as its caller
   * waits for it, and a bounded number in any case. `known`: what this process knows of the decision.
   * `left` when that was not enough: the scans of all processes go on with it.
   */
  async handOver(
    participant: Participant,
    gid: Gid,
    known: 'commit' | 'nothing' = 'nothing',
    isWaitedFor = (): boolean => false,
  ): Promise<'done' | 'lost' | 'left'> {
    const { world, signal } = this.#setting
    const isWorthwhile = (attempt: number): boolean =>
      !signal.aborted && (attempt <= LIMITS.handOverRounds || isWaitedFor())
    for (let attempt = 1; isWorthwhile(attempt); attempt += 1) {
      const verdict = await this.round(participant, gid)
      if (verdict === 'lost-vote' || verdict === 'lost-decision') return 'lost'
      if (verdict === 'forgotten') {
        // Settled and forgotten while this process stood still for longer than the retention; or
        // both databases were set back, and this process is the last that knows.
        this.#setting.report({ type: 'vanished', ...factsOf(participant, gid) })
        return 'lost'
      }
      if (known === 'commit' && ['rolled-back', 'gone', 'contradicted'].includes(verdict)) {
        // Our COMMIT was acknowledged, and its register has forgotten it: it was set back.
        this.#setting.report({ type: 'lost-decision', ...factsOf(participant, gid) })
        return 'lost'
      }
      if (isEnded(verdict)) return 'done'
      if (verdict === 'held' || verdict === 'contradicted') return 'left'
      await world.rest(backoffMs(HAND_OVER_BACKOFF, attempt, world), signal)
    }
    return 'left'
  }

  async #run(participant: Participant, gid: Gid): Promise<recovery.Verdict> {
    const register = this.#setting.participants.get(gid.register)
    if (register === undefined) return 'register-unclear'
    const isDecider = isDecidersOwn(participant, gid)
    const found = isDecider ? recovery.DECIDER_LISTED : recovery.LISTED
    let { state, effects } = recovery.step(found, { type: 'start' })
    while (state.verdict === 'open') {
      const [message] = effects
      if (message === undefined) return 'branch-unclear'
      const event = await this.#perform(message, participant, register, gid)
      ;({ state, effects } = recovery.step(state, event))
    }
    this.#reportEnd(state, participant, gid)
    if (isDecider && state.ending === 'done') {
      this.#setting.report({ type: 'decider-prepared', ...factsOf(participant, gid) })
    }
    return state.verdict
  }

  async #perform(
    message: RecoveryMessage,
    participant: Participant,
    register: Participant,
    gid: Gid,
  ): Promise<recovery.RecoveryEvent> {
    switch (message) {
      case 'ask-register':
      case 'ask-register-again':
        return { type: 'register-asked', answer: await register.ask(gid) }
      case 'look-for-receipts':
        return {
          type: 'receipts-looked-for',
          answer: await this.#elsewhere.look(gid, gid.branch),
        }
      case 'commit-prepared':
        return { type: 'ended', answer: await participant.endPrepared(gid, 'commit') }
      case 'rollback-prepared':
        return { type: 'ended', answer: await participant.endPrepared(gid, 'abort') }
      case 'ask-receipt':
        return { type: 'receipt-asked', answer: await this.#ownerOf(gid, participant).ask(gid) }
      case 'alarm-lost-vote':
        // The alarm ends the round; its verdict is reported below.
        return { type: 'start' }
      default:
        return assertNever(message)
    }
  }

  /** Where the receipt is: one database may be configured twice, each time with its own schema. */
  #ownerOf(gid: Gid, participant: Participant): Participant {
    return this.#setting.participants.get(gid.branch) ?? participant
  }

  #reportEnd(state: recovery.RecoveryState, participant: Participant, gid: Gid): void {
    const facts = factsOf(participant, gid)
    const { verdict } = state
    if (verdict === 'lost-vote' || verdict === 'lost-decision') {
      this.#setting.report({ type: verdict, ...facts })
    }
    if (state.ending !== 'done') return
    const outcome = state.obeyed === 'commit' ? 'committed' : 'aborted'
    this.#setting.report({ type: 'recovered', ...facts, outcome })
  }
}

/** Only on a system whose branches name their register as they begin are deciders ever prepared. */
export function isDecidersOwn({ namesRegister }: Participant, { branch, register }: Gid): boolean {
  return namesRegister === 'when it begins' && branch === register
}

function factsOf(participant: Participant, gid: Gid): { participant: string; gid: string } {
  return { participant: participant.name, gid: formatGid(gid) }
}

/** Whether the branch needs nothing more. */
export function isEnded(verdict: recovery.Verdict): boolean {
  return ['committed', 'rolled-back', 'gone', 'forgotten'].includes(verdict)
}

/** What a verdict that ended nothing says of the branch. */
export function doubtOf(verdict: recovery.Verdict): InDoubtReason | undefined {
  switch (verdict) {
    case 'running':
    case 'held':
    case 'register-unclear':
    case 'branch-unclear':
    case 'contradicted':
      return verdict
    case 'committed':
    case 'rolled-back':
    case 'gone':
    case 'forgotten':
    case 'lost-vote':
    case 'lost-decision':
      return undefined
    default:
      return assertNever(verdict)
  }
}

export function inDoubtOf(
  participant: string,
  gid: Gid,
  ageMs: number,
  reason: InDoubtReason,
): InDoubt {
  return {
    participant,
    gid: formatGid(gid),
    transactionId: formatTransactionId(gid),
    register: gid.register,
    ageMs,
    reason,
  }
}
