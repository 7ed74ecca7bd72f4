/**
 * What the process around us must offer: clock, timers, random bytes; and the end of a wait.
 *
 * Contract: no safety rests on any of them. A clock that jumps, a timer that is late and bytes that
 * repeat (within one process's lifetime they must not) change who works first, or abort a
 * transaction; they never end a prepared branch.
 */
export interface World {
  /** Milliseconds of a clock that never goes back. Only differences mean something. */
  now(): number
  /** Milliseconds since 1970 of the clock on the wall, which may jump. Only where that is no harm. */
  wallMs(): number
  /**
   * Runs `then` after `ms`, unless the returned function is called before. `background` does not keep
   * the process alive.
   */
  timer(ms: number, then: () => void, kind: 'awaited' | 'background'): () => void
  /** Resolves after `ms`, or as soon as `signal` is aborted; never rejects. Somebody awaits it. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** The same for work in the background: it does not keep the process alive. */
  rest(ms: number, signal?: AbortSignal): Promise<void>
  /** Unpredictable bytes: a txid is as good as a secret on some systems. */
  randomBytes(length: number): Uint8Array
  /** Uniform in [0, 1), for jitter. */
  random(): number
}

/** Somebody waits for a transaction, until a moment that comes at most once. */
export interface Waiting {
  readonly isOver: boolean
  /** Calls `then` at that moment, or now if it has come. @returns a function that calls it off */
  whenOver(then: () => void): () => void
}
