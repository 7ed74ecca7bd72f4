/**
 * Owns: where a process may die relative to one of its messages, and what must become of the
 * transaction then.
 */
import { kindOf } from './message-names.ts'

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

export function isProcessed(stage: Stage): boolean {
  return stage === 'processed, not answered' || stage === 'answered'
}

/** Whether the process kills itself there, and not a proxy. */
export function isOwnDeath({ stage }: CrashPoint): boolean {
  return stage === 'before sent' || stage === 'answered'
}
