/**
 * What a participant must offer so that its marks can be forgotten.
 *
 * Owns: the types of the seam for epochs and for marks in batches.
 * Promises, to be kept by every system: whatever a method resolves with was read, or written, by a
 * transaction whose own COMMIT was acknowledged without a warning. Anything else rejects, and then
 * it may or may not have happened.
 * Never: judges whether something may be deleted. That is the protocol's (`forgetting.ts`).
 */

import type { TransactionId } from '../protocol/index.ts'

/** A place in the table of marks, to go on from. Opaque. */
export type Cursor = string

export interface MarkPage<M> {
  readonly marks: readonly M[]
  /** Undefined at the end of the table. */
  readonly next: Cursor | undefined
}

/** The row of a decision whose epoch is no longer listed. */
export interface DecisionMark {
  readonly txid: string
  readonly epoch: string
  readonly decision: 'commit' | 'settled'
  /** The branches that were marked, the register included. */
  readonly participants: readonly string[]
}

export interface ReceiptMark {
  readonly txid: string
  readonly epoch: string
  readonly register: string
}

export interface Memory {
  /** Whether there can be marks to forget: not on a replica, nor where none was ever written. */
  hasMarks(): Promise<boolean>
  /** Opens a new epoch if the newest is older than this. */
  renew(afterMs: number): Promise<void>
  /** The epochs whose successor was opened longer ago than this. By the server's clock. */
  superseded(forMs: number): Promise<readonly string[]>
  /** Takes epochs off the list, for ever. Never the newest. */
  unlist(epochs: readonly string[]): Promise<void>
  /** A page of this register's decisions, of epochs that are not listed. By the server's clock. */
  decisions(olderThanMs: number, from: Cursor | undefined): Promise<MarkPage<DecisionMark>>
  /** A page of receipts, whose decisions are elsewhere. */
  receipts(olderThanMs: number, from: Cursor | undefined): Promise<MarkPage<ReceiptMark>>
  /** Which of these have the mark of a commit here, committed. Waits for nobody. */
  present(txids: readonly string[]): Promise<ReadonlySet<string>>
  /**
   * Whether the mark of this very transaction's commit is seen here. Not durably: whoever sees a receipt
   * knows that its decision was durable before. Also on a replica. Waits for nobody.
   */
  applied(id: Pick<TransactionId, 'txid' | 'register' | 'epoch'>): Promise<boolean>
  /** Turns decisions into `settled`. Resolves with those whose row was there, and is settled now. */
  settle(txids: readonly string[]): Promise<ReadonlySet<string>>
  forgetReceipts(register: string, txids: readonly string[]): Promise<void>
  /** Deletes settled rows of epochs that are not listed. */
  forgetDecisions(txids: readonly string[]): Promise<void>
}
