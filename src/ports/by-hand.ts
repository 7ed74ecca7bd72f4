/**
 * What a person looks at, and decides by hand.
 *
 * Owns: the types of the seam for `assent show` and `assent resolve`.
 * Promises, to be kept by every system: what is read was read by a transaction whose own COMMIT was
 * acknowledged, so it is durable; a decision is written only under a key that nobody has, of an
 * epoch that is not remembered, in one transaction with its record.
 * Never: judges whether a person may decide. That is the protocol's (`resolution.ts`).
 */
import type { AskAnswer, Decision } from '../protocol/index.ts'
import type { Question } from './participant.ts'

/** A mark, as it stands. */
export interface StandingMark {
  readonly app: string
  readonly register: string
  readonly epoch: string
  readonly decision: Decision
  readonly participants: readonly string[]
  /** By the server's own clock. */
  readonly ageMs: number
}

/** What a person decided: the record of it, kept for good. */
export interface Resolution extends Question {
  readonly branch: string
  readonly decision: 'commit' | 'abort'
  /** Whether the register was written first, or had to be given up. */
  readonly basis: 'register' | 'register-lost'
  readonly decidedBy: string
  readonly reason: string
}

export interface ByHand {
  /** The committed mark of a txid. Waits for nobody. @throws AssentError */
  mark(txid: string): Promise<StandingMark | undefined>
  /** Everything that was decided by hand here; the newest thousand. @throws AssentError */
  resolutions(): Promise<readonly Resolution[]>
  /**
   * At the register: writes the decision and its record. `written` only if their COMMIT was
   * acknowledged; otherwise what asking answers, and then it was not, or nobody knows (`unknown`).
   * Never rejects.
   */
  decide(resolution: Resolution): Promise<{ readonly answer: 'written' } | AskAnswer>
  /** Beside a branch that is about to be ended: writes only the record. @throws AssentError */
  record(resolution: Resolution): Promise<void>
}
