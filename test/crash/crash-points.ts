/**
 * Owns: where a process may die relative to one of its messages, which of the numbered faults of
 * docs/faults.md that is, and what must become of the transaction then.
 */
import { kindOf, participantOf } from './message-names.ts'
import type { Kind } from './message-names.ts'

export const STAGES = [
  /** Inside the process, right before the first byte is written. */
  'before sent',
  /** All of it has left the process, none of it reached the server. */
  'sent, not processed',
  /** The server has answered, and nothing of the answer reached the process. */
  'processed, not answered',
  /** Inside the process, right after the last byte of the answer came in. */
  'answered',
] as const

export type Stage = (typeof STAGES)[number]
export type Fate = 'committed' | 'aborted'

export interface CrashPoint {
  readonly message: string
  readonly stage: Stage
}

export function pointsOf(messages: readonly string[]): readonly CrashPoint[] {
  return messages.flatMap((message) => STAGES.map((stage) => ({ message, stage })))
}

export function label({ message, stage }: CrashPoint): string {
  return `${message}, ${stage}`
}

/** The decider's own COMMIT is the decision: what counts is whether the server processed it. */
export function fateAt({ message, stage }: CrashPoint, messages: readonly string[]): Fate {
  const decide = messages.findIndex((each) => kindOf(each) === 'decide')
  const at = messages.indexOf(message)
  if (at !== decide) return at < decide ? 'aborted' : 'committed'
  return isProcessed(stage) ? 'committed' : 'aborted'
}

/** Which numbered fault it is when the process dies there. */
export function faultAt(point: CrashPoint, messages: readonly string[]): string {
  const { message, stage } = point
  const at = messages.indexOf(message) + (isProcessed(stage) ? 1 : 0)
  const left = (kind: Kind): number =>
    messages.slice(at).filter((each) => kindOf(each) === kind).length
  const all = (kind: Kind): number => messages.filter((each) => kindOf(each) === kind).length
  const isUnanswered = stage === 'sent, not processed' || stage === 'processed, not answered'
  if (['decide', 'finish'].includes(kindOf(message)) && isUnanswered) {
    return 'fault 8: the process dies while COMMIT is unanswered'
  }
  if (left('apply') === 0) return 'fault 11: the process dies after all ends'
  if (left('apply') < all('apply')) return 'fault 10: the process dies after some ends'
  if (left('decide') === 0) return 'fault 9: the process dies after the decision'
  if (['vote', 'commit'].includes(kindOf(message)) && isUnanswered) {
    return 'fault 5: the process dies while PREPARE is unanswered'
  }
  if (left('vote') === 0) return 'fault 7: the process dies after all have prepared'
  if (left('vote') < all('vote')) return 'fault 6: the process dies after some have prepared'
  if (at > claimAt(messages)) return 'fault 4: the process dies after its claim'
  // BEGIN carries the first statement: where there is no other, the work is done with it.
  if (left('begin') + left('work') === 0) return 'fault 3: the process dies after the work'
  const isBegun = left('begin') < all('begin')
  return isBegun
    ? 'fault 2: the process dies after BEGIN of some'
    : 'fault 1: the process dies before any BEGIN'
}

/** The message that makes the claim as it will be decided by: the decider's BEGIN, if no later one. */
export function claimAt(messages: readonly string[]): number {
  const decider = participantOf(messages.find((each) => kindOf(each) === 'decide') ?? '')
  const later = messages.indexOf(`${decider} claim 1`)
  return later === -1 ? messages.indexOf(`${decider} begin 1`) : later
}

export function isProcessed(stage: Stage): boolean {
  return stage === 'processed, not answered' || stage === 'answered'
}

/** Whether the process kills itself there, and not a proxy. */
export function isOwnDeath({ stage }: CrashPoint): boolean {
  return stage === 'before sent' || stage === 'answered'
}
