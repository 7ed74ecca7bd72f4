/**
 * `transaction()`: attempts of the user's function, each a run of its own under a new txid.
 *
 * Owns: the deadline, the signal, the retries, and what users hold besides the handles.
 * Promises: the function runs again only after an outcome of `aborted`; functions given to
 * `onCommitted` run only once the commit is durable, and can't change the outcome.
 */
import { AssentError } from '../protocol/index.ts'
import type { ErrorCode, Outcome, Plan } from '../protocol/index.ts'
import type { Participant, Tracing, World } from '../ports/index.ts'
import { Over, Run, backoffMs, outcomeOf, traceRun } from '../engine/index.ts'
import type { Committed, Report, RunSetting } from '../engine/index.ts'
import type { CheckedOptions } from './options.ts'
import { makeTxid } from './txid.ts'

/** What the user's function gets besides the handles. */
export interface Transaction {
  /** For logs. `assent.outcome(tx.id)` answers `committed` or `unknown`, never `aborted`. */
  readonly id: string
  /** Aborted when the transaction's time is up or the caller's signal is: pass it on. */
  readonly signal: AbortSignal
  /** Who plays which part; undefined until the function has returned (see `onCommitted`). */
  readonly plan: Plan | undefined
  /** Makes the error to throw to roll everything back: `throw tx.abort('sold out')`. */
  abort(reason?: string): AssentError
  /**
   * Runs a function once the commit is durable, before `transaction()` resolves. What it throws is
   * reported and changes nothing.
   */
  onCommitted(run: () => unknown): void
}

export interface TransactionSetting extends RunSetting {
  readonly tracing: Tracing
  readonly report: (report: Report) => void
}

export type Work<Handles, T> = (handles: Handles, tx: Transaction) => Promise<T> | T

export async function runTransaction<Handles, T>(
  setting: TransactionSetting,
  options: CheckedOptions,
  work: Work<Handles, T>,
): Promise<T> {
  const { world } = setting
  const deadline = world.now() + options.timeoutMs
  const { over, stop } = watch(world, options)
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await attemptOnce(setting, options, over, deadline, attempt, work)
      } catch (error) {
        const isLast = attempt >= options.attempts
        if (isLast || !mayRunAgain(error, setting.participants)) throw error
        await world.sleep(backoffMs(options.backoff, attempt, world), over.signal)
        if (over.isOver) throw error
      }
    }
  } finally {
    stop()
  }
}

async function attemptOnce<Handles, T>(
  setting: TransactionSetting,
  options: CheckedOptions,
  over: Over,
  deadline: number,
  attempt: number,
  work: Work<Handles, T>,
): Promise<T> {
  const { app, world, participants, meters } = setting
  const begunAt = world.now()
  const txid = makeTxid(world)
  // Asked once: while nobody listens, this is all that it costs.
  const { tracer } = setting.tracing
  const traced = tracer === undefined ? undefined : { tracer, app, txid }
  const run = new Run(setting, {
    txid,
    over,
    deadline,
    timeoutMs: Math.max(1, deadline - begunAt),
    reads: options.reads,
    isolation: options.isolation,
    decider: options.decider,
    resolveWhen: options.resolveWhen,
    receipt: options.receipt,
    traced,
  })
  const tx = new RunningTransaction(txid, over, run)
  const lazy = new LazyHandles(run, participants)
  const handles = new Proxy(Object.create(null) as object, lazy) as Handles
  const execute = (): Promise<Committed<T>> => run.execute(() => work(handles, tx))
  const executing = traced === undefined ? execute() : traceRun(traced, attempt, run, execute)
  let outcome: Outcome = 'committed'
  let committed: Committed<T>
  try {
    committed = await executing
  } catch (error) {
    outcome = outcomeOf({ kind: 'rejected', error })
    throw error
  } finally {
    meters.ended(run.plan?.protocol ?? 'none', outcome, world.now() - begunAt)
  }
  const { value, id } = committed
  if (tx.committed.length > 0) {
    const hooks = runHooks(setting, tx.committed, id).finally(setting.background())
    // Its time being over ends the waiting, and not what was begun.
    await over.unless(hooks).catch(() => undefined)
  }
  return value
}

/** One after the other. Never rejects. */
async function runHooks(
  { report }: TransactionSetting,
  hooks: readonly (() => unknown)[],
  transactionId: string,
): Promise<void> {
  for (const then of hooks) {
    try {
      await then()
    } catch (error) {
      report({ type: 'on-committed-failed', transactionId, error })
    }
  }
}

/** A class, since an object literal with getters gets a shape of its own each time it is made. */
class RunningTransaction implements Transaction {
  readonly id: string
  readonly committed: (() => unknown)[] = []
  readonly #over: Over
  readonly #run: Run

  constructor(id: string, over: Over, run: Run) {
    this.id = id
    this.#over = over
    this.#run = run
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }

  get plan(): Plan | undefined {
    return this.#run.plan
  }

  // Fields, so that they can be passed on by themselves.
  readonly abort = (reason?: string): AssentError => aborted(reason, this.id)

  readonly onCommitted = (then: () => unknown): void => {
    this.committed.push(then)
  }
}

/** One handle for each participant, made when it is asked for. */
class LazyHandles implements ProxyHandler<object> {
  readonly #run: Run
  readonly #participants: ReadonlyMap<string, Participant>
  readonly #handles = new Map<string, unknown>()

  constructor(run: Run, participants: ReadonlyMap<string, Participant>) {
    this.#run = run
    this.#participants = participants
  }

  get(_: object, name: string | symbol): unknown {
    // Asked for by `await`, and by whoever prints it.
    return typeof name === 'symbol' || name === 'then' ? undefined : this.#handleOf(name)
  }

  has(_: object, name: string | symbol): boolean {
    return typeof name === 'string' && this.#participants.has(name)
  }

  ownKeys(): string[] {
    return [...this.#participants.keys()]
  }

  getOwnPropertyDescriptor(_: object, name: string | symbol): PropertyDescriptor | undefined {
    if (typeof name === 'symbol' || !this.#participants.has(name)) return undefined
    return { value: this.#handleOf(name), enumerable: true, configurable: true, writable: true }
  }

  #handleOf(name: string): unknown {
    const known = this.#handles.get(name)
    if (known !== undefined) return known
    const participant = this.#participants.get(name)
    if (participant === undefined) throw unknownHandle(name, this.#participants)
    const handle = participant.handle(() => this.#run.join(name))
    this.#handles.set(name, handle)
    return handle
  }
}

/** Instead of undefined, whose use would only say that it has no `query`. */
function unknownHandle(name: string, participants: ReadonlyMap<string, Participant>): AssentError {
  return new AssentError({
    code: 'ASSENT_UNKNOWN_PARTICIPANT',
    outcome: 'aborted',
    message:
      `${JSON.stringify(name)} is not configured. Configured participants: ` +
      `${[...participants.keys()].join(', ')}.`,
  })
}

function aborted(reason: string | undefined, transactionId: string): AssentError {
  return new AssentError({
    code: 'ASSENT_ABORTED',
    outcome: 'aborted',
    transactionId,
    message: reason ?? 'The transaction was aborted by its function.',
  })
}

function mayRunAgain(error: unknown, participants: ReadonlyMap<string, Participant>): boolean {
  if (error instanceof AssentError) return error.outcome === 'aborted' && error.retryable
  // The user's own error: everything was rolled back, or it would not come through as it is.
  return [...participants.values()].some((participant) => participant.isRetryable(error))
}

/** The one end of waiting of a transaction: its time-out, or the caller's signal. */
function watch(world: World, options: CheckedOptions): { over: Over; stop: () => void } {
  const over = new Over()
  const end = (code: ErrorCode, message: string, cause?: unknown): void => {
    over.end(new AssentError({ code, outcome: 'aborted', message, cause }))
  }
  const caller = options.signal
  const onCaller = (): void => {
    end('ASSENT_CANCELLED', 'The signal given to transaction() was aborted', caller?.reason)
  }
  if (caller?.aborted === true) onCaller()
  caller?.addEventListener('abort', onCaller, { once: true })
  const timeIsUp = (): void => {
    end('ASSENT_TIMEOUT', `The transaction took longer than ${options.timeoutMs} ms`)
  }
  // Somebody awaits transaction(): the process must live until it is answered.
  const cancelTimer = world.timer(options.timeoutMs, timeIsUp, 'awaited')
  const stop = (): void => {
    cancelTimer()
    caller?.removeEventListener('abort', onCaller)
  }
  return { over, stop }
}
