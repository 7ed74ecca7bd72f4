/**
 * What a database is like, for `assent doctor`.
 *
 * Owns: the findings of the checks that `readyToMark` makes, as values.
 * Never: says what transactions do with it. That is the plan's.
 */
import type { ErrorCode } from '../protocol/index.ts'

/** One thing that was checked. */
export type Finding =
  | { readonly severity: 'ok'; readonly what: string }
  /** Works, and can be better, or is to be known. `run` says what to do, where there is something. */
  | { readonly severity: 'advice'; readonly what: string; readonly run: string | undefined }
  /** Two-phase commit is refused here until this is changed. */
  | {
      readonly severity: 'must change'
      readonly what: string
      readonly run: string
      readonly code: ErrorCode
      readonly cause?: unknown
    }

export type MustChange = Extract<Finding, { readonly severity: 'must change' }>

export interface Examination {
  /** `PostgreSQL 18.4`, `MariaDB 11.4.2 with a binary log`. */
  readonly server: string
  readonly canPrepare: boolean
  /** Where several participants could decide, this one is the better decider. */
  readonly asDecider: 'no matter' | 'better'
  readonly findings: readonly Finding[]
  /** Of an empty question, and of a durable write in our own table; medians, in milliseconds. */
  readonly roundTripMs: number
  readonly forcedWriteMs: number | undefined
}
