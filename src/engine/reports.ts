/**
 * What happens in the background and somebody should know.
 *
 * Owns: the reports and their words.
 * Promises: an alarm is never silent: without a listener it becomes a process warning.
 */
import { assertNever } from '../protocol/index.ts'

/** Why a branch is in doubt. */
export type InDoubtReason =
  /** Its transaction is still running, as far as the register can tell. */
  | 'running'
  /** The register could not be asked. */
  | 'register-unclear'
  /** The register that its id names is not configured here. */
  | 'register-not-configured'
  /** The register does not remember its epoch: left for a person. */
  | 'held'
  /**
   * The register has no row of it and remembers its epoch; and another participant has applied it. One of the
   * two was set back, to a backup most likely: left for a person.
   */
  | 'contradicted'
  /** The branch could not be ended; the next scan tries again. */
  | 'branch-unclear'
  /** Another role owns it. */
  | 'not-owner'
  /** Looks like ours, and can't be read: made by hand, or by a newer version. */
  | 'unreadable'
  /** Of another app: its own processes recover it. */
  | 'other-app'
  /** Seen, and not asked about yet. */
  | 'not-asked-yet'

/** All of them. */
export const IN_DOUBT_REASONS = Object.keys({
  running: 0,
  'register-unclear': 0,
  'register-not-configured': 0,
  held: 0,
  contradicted: 0,
  'branch-unclear': 0,
  'not-owner': 0,
  unreadable: 0,
  'other-app': 0,
  'not-asked-yet': 0,
} satisfies Record<InDoubtReason, 0>) as readonly InDoubtReason[]

/** What ends only when a person does something. */
export const WAITS_FOR_A_PERSON: readonly InDoubtReason[] = [
  'held',
  'contradicted',
  'not-owner',
  'unreadable',
  'register-not-configured',
]

/** A prepared branch whose end is still open, and why. */
export interface InDoubt {
  readonly participant: string
  readonly gid: string
  /** Can be given to `outcome()`; undefined when the gid can't be read. */
  readonly transactionId: string | undefined
  readonly register: string | undefined
  readonly ageMs: number
  readonly reason: InDoubtReason
}

/** What `onReport` is told of work in the background. */
export type Report =
  /** A database lost a branch it had promised to keep. Repair by hand. */
  | { readonly type: 'lost-vote'; readonly participant: string; readonly gid: string }
  /**
   * A receipt at `participant` names a decision that its register should have, and has not: the
   * register lost it, or the participant was set back. Repair by hand.
   */
  | { readonly type: 'lost-decision'; readonly participant: string; readonly gid: string }
  /**
   * Neither the branch, nor its receipt, nor its decision is there any more. Forgotten while this
   * process stood still for longer than the retention; or both databases were set back.
   */
  | { readonly type: 'vanished'; readonly participant: string; readonly gid: string }
  /**
   * A decider was found in the midst of its COMMIT, left by its process or its server; it was committed,
   * as all the others had voted yes. (MySQL and MariaDB.)
   */
  | { readonly type: 'decider-prepared'; readonly participant: string; readonly gid: string }
  /** Marks pile up, since something could not be read. It goes on by itself when it can. */
  | { readonly type: 'forgetting-paused'; readonly participant: string; readonly error: unknown }
  /** A branch waits for a person, or for another process. Reported once per process and branch. */
  | { readonly type: 'in-doubt'; readonly inDoubt: InDoubt }
  | {
      readonly type: 'recovered'
      readonly participant: string
      readonly gid: string
      readonly outcome: 'committed' | 'aborted'
    }
  | { readonly type: 'scan-failed'; readonly participant: string; readonly error: unknown }
  /** A function given to `tx.onCommitted` threw. The transaction stays committed. */
  | {
      readonly type: 'on-committed-failed'
      readonly transactionId: string
      readonly error: unknown
    }

/** What to do with a report when nobody listens: warn of what a person must look at. */
export function warnOf(report: Report): string | undefined {
  switch (report.type) {
    case 'lost-vote':
      return `Assent: ${report.participant} lost the prepared branch ${report.gid}, whose transaction has committed elsewhere. Its work must be done again by hand.`
    case 'lost-decision':
      return `Assent: ${report.participant} has the receipt of ${report.gid}, and its register has no decision for it: the register lost committed work, or ${report.participant} was set back. Compare the two by hand.`
    case 'vanished':
      return `Assent: ${report.participant} has neither the branch ${report.gid} nor its receipt, and its register has forgotten it. Unless this process stood still for longer than the retention, both databases were set back: compare them by hand.`
    case 'in-doubt':
      return WAITS_FOR_A_PERSON.includes(report.inDoubt.reason)
        ? `Assent: ${report.inDoubt.participant} keeps the prepared branch ${report.inDoubt.gid}: ${report.inDoubt.reason}. It is left alone.`
        : undefined
    case 'on-committed-failed':
      return `Assent: a function given to tx.onCommitted of ${report.transactionId} failed; the transaction is committed.`
    case 'recovered':
    case 'decider-prepared':
    case 'scan-failed':
    case 'forgetting-paused':
      return undefined
    default:
      return assertNever(report)
  }
}
