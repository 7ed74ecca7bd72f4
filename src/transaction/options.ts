/**
 * The options that users give, and their checks.
 *
 * Owns: names, defaults and limits of every option.
 * Promises: an unknown or wrong option is refused before anything is begun, with what was given and
 * what is expected.
 */
import { AssentError } from '../protocol/index.ts'
import type { Isolation } from '../ports/index.ts'
import { LIMITS } from '../engine/index.ts'

/** Options of `createAssent` that apply to every transaction, unless it says otherwise. */
export interface TransactionDefaults<Name extends string = string> {
  /**
   * The longest that a transaction may take until it is decided, in milliseconds; afterwards it only
   * ends the waiting. Retries share it. Default: 30,000; at most 3,600,000, and at most a tenth of
   * `retentionMs`.
   */
  readonly timeoutMs?: number
  /** The isolation of every branch, or of each by its name. Default: the session's own. */
  readonly branchIsolation?: Isolation | Partial<Readonly<Record<Name, Isolation>>>
  /** Runs the whole function again after a serialization failure, a deadlock and the like. */
  readonly retry?: {
    /** How often the function may run in all, 1 to 100. Default: 1. */
    readonly attempts: number
    /** The limit of the first wait, in milliseconds; it doubles. Default: 20. */
    readonly firstMs?: number
    /** The longest wait, in milliseconds. Default: 1,000. */
    readonly longestMs?: number
  }
  /**
   * When the promise resolves: when every database has applied the decision (`applied`, default), or
   * as soon as it is durable (`decided`); then a reader may still see one database before another.
   */
  readonly resolveWhen?: 'applied' | 'decided'
  /** The participant whose commit is the decision, when it wrote. Default: the second that joined. */
  readonly decider?: Name
  /**
   * Marks a transaction that wrote in one database only, too: when the answer to its COMMIT is lost,
   * `outcome()` can be asked. Costs one message and one small row. Default: false.
   */
  readonly receipt?: boolean
}

/** Options of one transaction. */
export interface TransactionOptions<
  Name extends string = string,
> extends TransactionDefaults<Name> {
  /** Participants that are only read: READ ONLY, never marked, out of the vote. */
  readonly reads?: readonly Name[]
  /** Aborts the transaction while it is undecided; afterwards it only ends the waiting. */
  readonly signal?: AbortSignal
}

/** Options with every default filled in. */
export interface CheckedOptions {
  readonly timeoutMs: number
  readonly isolation: (participant: string) => Isolation | undefined
  readonly attempts: number
  readonly backoff: { readonly firstMs: number; readonly longestMs: number }
  readonly resolveWhen: 'applied' | 'decided'
  readonly decider: string | undefined
  readonly receipt: 'always' | 'when needed'
  readonly reads: ReadonlySet<string>
  readonly signal: AbortSignal | undefined
}

const DEFAULT_NAMES = [
  'timeoutMs',
  'branchIsolation',
  'retry',
  'resolveWhen',
  'decider',
  'receipt',
] as const satisfies readonly (keyof TransactionDefaults)[]
const NAMES: readonly string[] = [...DEFAULT_NAMES, 'reads', 'signal']
const RETRY_NAMES: readonly string[] = ['attempts', 'firstMs', 'longestMs']
const ISOLATIONS: readonly string[] = ['read committed', 'repeatable read', 'serializable']

/** @throws AssentError `ASSENT_OPTION` or `ASSENT_UNKNOWN_PARTICIPANT` */
export function checkOptions(
  defaults: TransactionDefaults,
  given: TransactionOptions,
  participants: readonly string[],
  retentionMs: number,
): CheckedOptions {
  const options = withDefaults(defaults, given)
  const isolation = checkIsolation(options.branchIsolation, participants)
  for (const name of Object.keys(options.retry ?? {})) {
    if (RETRY_NAMES.includes(name)) continue
    throw wrong(`the option retry.${name}`, `one of ${RETRY_NAMES.join(', ')}`)
  }
  const attempts = options.retry?.attempts ?? 1
  between('retry.attempts', attempts, 1, LIMITS.mostAttempts)
  const backoff = {
    firstMs: options.retry?.firstMs ?? 20,
    longestMs: options.retry?.longestMs ?? 1_000,
  }
  between('retry.firstMs', backoff.firstMs, 0, LIMITS.longestTimeoutMs)
  between('retry.longestMs', backoff.longestMs, 0, LIMITS.longestTimeoutMs)
  // What still runs must be remembered: see `retentionMs`.
  const longestMs = Math.min(LIMITS.longestTimeoutMs, retentionMs / LIMITS.timeoutsInRetention)
  const timeoutMs = options.timeoutMs ?? Math.min(LIMITS.timeoutMs, longestMs)
  between('timeoutMs', timeoutMs, 1, longestMs)
  const resolveWhen: unknown = options.resolveWhen ?? 'applied'
  if (resolveWhen !== 'applied' && resolveWhen !== 'decided') {
    throw wrong(`resolveWhen ${quote(resolveWhen)}`, `'applied' or 'decided'`)
  }
  const receipt: unknown = options.receipt ?? false
  if (typeof receipt !== 'boolean') throw wrong(`receipt ${quote(receipt)}`, 'true or false')
  const signal: unknown = options.signal
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrong(`signal ${quote(signal)}`, 'an AbortSignal')
  }
  const reads = [...(options.reads ?? [])]
  for (const name of reads) checkParticipant('reads', name, participants)
  if (options.decider !== undefined) checkParticipant('decider', options.decider, participants)
  return {
    timeoutMs,
    isolation,
    attempts,
    backoff,
    resolveWhen,
    decider: options.decider,
    receipt: receipt ? 'always' : 'when needed',
    reads: new Set(reads),
    signal,
  }
}

function checkIsolation(
  given: TransactionDefaults['branchIsolation'],
  participants: readonly string[],
): CheckedOptions['isolation'] {
  if (given === undefined) return () => undefined
  const byName = typeof given === 'string' ? undefined : given
  for (const [name, level] of Object.entries(byName ?? { all: given })) {
    if (byName !== undefined) checkParticipant('branchIsolation', name, participants)
    if (typeof level === 'string' && ISOLATIONS.includes(level)) continue
    throw wrong(`branchIsolation ${quote(level)}`, `one of '${ISOLATIONS.join("', '")}'`)
  }
  return (name) => (typeof given === 'string' ? given : given[name])
}

/** @throws AssentError `ASSENT_UNKNOWN_PARTICIPANT` */
export function checkParticipant(
  where: string,
  name: string,
  participants: readonly string[],
): void {
  if (participants.includes(name)) return
  throw new AssentError({
    code: 'ASSENT_UNKNOWN_PARTICIPANT',
    outcome: 'aborted',
    message:
      `${where} names ${quote(name)}, which is not configured. Configured participants: ` +
      `${participants.join(', ')}.`,
  })
}

export function between(name: string, value: unknown, least: number, most: number): void {
  if (typeof value === 'number' && value >= least && value <= most) return
  throw wrong(`${name} ${quote(value)}`, `a number from ${least} to ${most}`)
}

export function wrong(given: string, expected: string): AssentError {
  return new AssentError({
    code: 'ASSENT_OPTION',
    outcome: 'aborted',
    message: `${given} was given; expected ${expected}.`,
  })
}

/** Shows a value that can't be a secret; of anything but a short text, only its type. */
export function quote(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= 100 ? JSON.stringify(value) : `a text of ${value.length} characters`
  }
  const isPlain = ['number', 'boolean', 'bigint'].includes(typeof value)
  return isPlain ? String(value) : typeOf(value)
}

/** Tells only what kind of thing was given: where a connection string could stand by mistake. */
export function typeOf(value: unknown): string {
  return value === null ? 'null' : `of type ${typeof value}`
}

/** What is given as undefined is not given. */
function withDefaults(
  defaults: TransactionDefaults,
  given: TransactionOptions,
): TransactionOptions {
  const options: Record<string, unknown> = { ...defaults }
  for (const [name, value] of Object.entries(given)) {
    if (!NAMES.includes(name)) {
      throw wrong(`the option ${quote(name)}`, `one of ${NAMES.join(', ')}`)
    }
    if (value !== undefined) options[name] = value
  }
  return options
}
