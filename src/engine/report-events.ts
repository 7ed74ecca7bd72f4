/**
 * Reports as events that anybody may listen to.
 *
 * Owns: what each says of a report.
 * Promises: has neither the gid nor an error's text: on MariaDB whoever knows a gid can end its branch.
 */
import { assertNever, readGid } from '../protocol/index.ts'
import type { Report } from './reports.ts'

/** What an event says; what is not known of its kind is left out. */
export interface ReportEvent {
  readonly app: string
  readonly participant?: string
  /** `tx.id`; left out when the gid can't be read. */
  readonly txid?: string
  readonly register?: string
  readonly reason?: string
  readonly ageMs?: number
  readonly outcome?: 'committed' | 'aborted'
  /** The code of the error, as the driver or Assent has it; never its text. */
  readonly errorCode?: string | undefined
}

/** What the event of each kind of report says. */
export const REPORT_FIELDS: Readonly<Record<Report['type'], readonly (keyof ReportEvent)[]>> = {
  recovered: ['app', 'participant', 'txid', 'register', 'outcome'],
  'in-doubt': ['app', 'participant', 'txid', 'register', 'reason', 'ageMs'],
  'lost-vote': ['app', 'participant', 'txid', 'register'],
  'lost-decision': ['app', 'participant', 'txid', 'register'],
  vanished: ['app', 'participant', 'txid', 'register'],
  'decider-prepared': ['app', 'participant', 'txid', 'register'],
  'forgetting-paused': ['app', 'participant', 'errorCode'],
  'scan-failed': ['app', 'participant', 'errorCode'],
  'on-committed-failed': ['app', 'txid', 'errorCode'],
}

export function eventOf(app: string, report: Report): ReportEvent {
  switch (report.type) {
    case 'lost-vote':
    case 'lost-decision':
    case 'vanished':
    case 'decider-prepared':
      return { app, participant: report.participant, ...namesIn(report.gid) }
    case 'recovered': {
      const { participant, gid, outcome } = report
      return { app, participant, ...namesIn(gid), outcome }
    }
    case 'in-doubt': {
      const { participant, gid, reason, ageMs } = report.inDoubt
      return { app, participant, ...namesIn(gid), reason, ageMs }
    }
    case 'forgetting-paused':
    case 'scan-failed':
      return { app, participant: report.participant, errorCode: codeOf(report.error) }
    case 'on-committed-failed':
      return { app, ...txidIn(report.transactionId), errorCode: codeOf(report.error) }
    default:
      return assertNever(report)
  }
}

/** What an error is called; its text may have values of the user's in it. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' || typeof code === 'number') return String(code)
  return typeof name === 'string' ? name : undefined
}

/** Of any app's gid. */
function namesIn(gid: string): Pick<ReportEvent, 'txid' | 'register'> {
  const [, app = ''] = gid.split('.')
  const reading = readGid(gid, app)
  return reading.kind === 'ours' ? { txid: reading.gid.txid, register: reading.gid.register } : {}
}

/** The last part of a long one; a short one is nothing else. */
function txidIn(transactionId: string): Pick<ReportEvent, 'txid'> {
  return { txid: transactionId.slice(transactionId.lastIndexOf('.') + 1) }
}
