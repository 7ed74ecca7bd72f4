/**
 * What the command line says: durations, tables, and a sentence for each reason.
 *
 * Promises: an error is one line, without the values that a driver quotes.
 */
import { AssentError, assertNever } from '../protocol/index.ts'
import type { Refusal } from '../protocol/index.ts'
import type { Standing, StandingReason, Unreachable } from '../engine/index.ts'

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** `3 d 4 h`, `12 min 5 s`, `180 ms`. */
export function durationOf(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return 'unknown'
  const at = UNITS.findIndex(([, size]) => ms >= size)
  const unit = UNITS[at]
  if (unit === undefined) return `${Math.max(0, Math.round(ms))} ms`
  const [name, size] = unit
  const whole = `${Math.floor(ms / size)} ${name}`
  const smaller = UNITS[at + 1]
  if (smaller === undefined) return whole
  const rest = Math.floor((ms % size) / smaller[1])
  return rest === 0 ? whole : `${whole} ${rest} ${smaller[0]}`
}

/** Columns, padded; the last one as it is. */
export function tableOf(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  }
  return rows
    .map((row) =>
      row
        .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** The first line of what went wrong. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0] ?? ''
}

/** `code` of an error, for JSON. */
export function errorJson({ participant, error }: Unreachable): object {
  const code = error instanceof AssentError ? error.code : 'ASSENT_UNREACHABLE'
  return { participant, code, message: messageOf(error) }
}

/** What recovery waits for, or is about to do. */
export function sentenceOf(
  reason: StandingReason,
  { register, owner }: Pick<Standing, 'register' | 'owner'>,
): string {
  const at = register ?? 'its register'
  switch (reason) {
    case 'running':
      return `its transaction is still open at ${at}; recovery waits until that has ended`
    case 'decided-commit':
      return `${at} has decided commit; recovery applies it`
    case 'decided-abort':
      return `${at} can never commit it; recovery rolls it back`
    case 'decider-prepared':
      return 'the decider’s own branch, left by a crash inside its commit; recovery commits it, unless it was begun on another server'
    case 'register-unclear':
      return `${at} can't be asked; recovery waits until it can`
    case 'register-not-configured':
      return `its register ${at} is not configured here; recovery needs a process that has it`
    case 'held':
      return `${at} does not remember its epoch; recovery waits for a person (assent resolve)`
    case 'contradicted':
      return `${at} was set back: it has no decision for what another database has applied; what has none there is left for a person`
    case 'not-owner':
      return `it is owned by ${owner}; recovery needs a process that connects as that`
    case 'other-app':
      return 'it is of another app, whose processes recover it'
    case 'unreadable':
      return 'its id starts like one of Assent’s and can’t be read; nobody recovers it'
    default:
      return assertNever(reason)
  }
}

export interface RefusalFacts {
  readonly id: string
  /** What the operator said of the register is to be said again. */
  readonly registerIs: 'expected' | 'called lost'
  readonly wish: 'commit' | 'abort'
  readonly register: string
  readonly receipts: readonly string[]
  readonly unread: readonly string[]
}

/** Why `resolve` does nothing, and what to do instead. */
export function refusalOf(why: Refusal | 'not-found', facts: RefusalFacts): string {
  const { id, wish, register, registerIs, receipts, unread } = facts
  switch (why) {
    case 'not-found':
      return `nothing of ${id} is prepared in any participant that can be reached`
    case 'nothing-prepared':
      return `nothing of ${id} is prepared any more: there is nothing to end. See assent show ${id}`
    case 'decider-prepared':
      return `the decider's own branch of ${id} is prepared, which is a decision to commit. Run assent recover; if that leaves it, see docs/systems/mysql-and-mariadb.md`
    case 'not-owner':
      return `a branch of ${id} is owned by another role. Run this with a configuration that connects as its owner`
    case 'receipt-found':
      return (
        `${receipts.join(', ')} has applied the commit of ${id}: an abort would contradict it. ` +
        `Run assent resolve ${id} --commit${registerIs === 'called lost' ? ' --register-lost' : ''}`
      )
    case 'participant-unread':
      return (
        `${unread.join(', ')} can't be read, and may have applied ${id}. Bring it back; ` +
        'or take it out of the configuration, if it is lost for good'
      )
    case 'decided-commit':
    case 'decided-abort': {
      const decided = why === 'decided-commit' ? 'commit' : 'abort'
      const how = decided === wish ? 'already' : 'the contrary,'
      return `${register} has decided ${how} ${decided}. Run assent recover`
    }
    case 'remembered':
      return `${register} remembers that ${id} never committed: it is an abort. Run assent recover`
    case 'contradicted':
      return (
        `${register} has no decision for ${id}, nor for what other databases have applied: it was set back. ` +
        `Tell it so with assent restored ${register}, and then run this again`
      )
    case 'running':
      return `${id} is still running at ${register}. Wait, or end that session in the database; then run assent recover`
    case 'register-silent':
      return (
        `${register} can't be asked. Bring it back and run assent recover; if it is lost for good, ` +
        'say so with --register-lost'
      )
    default:
      return assertNever(why)
  }
}
