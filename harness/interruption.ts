/**
 * Owns: what a program of this repository does when it is interrupted.
 * Promises: the signal is aborted once, and cleaning up goes on; the exit code is 128 + the number of
 * the first signal.
 */
import { constants } from 'node:os'

type Killer = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

export interface Interruption {
  readonly signal: AbortSignal
  /** As if `killer` had come. */
  interrupt(killer: Killer, reason: string): void
  /** The exit code of a program that ended with this error; says on stderr what happened. */
  exitCodeOf(error: unknown): number
}

export function watchForInterruption(): Interruption {
  const interrupted = new AbortController()
  let first: Killer | undefined
  const interrupt = (killer: Killer, reason: string): void => {
    first ??= killer
    interrupted.abort(new Error(reason))
  }
  for (const killer of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // More than once: Ctrl-C reaches us from the terminal and from npm.
    process.on(killer, () => {
      interrupt(killer, `interrupted by ${killer}`)
    })
  }
  return {
    signal: interrupted.signal,
    interrupt,
    exitCodeOf: (error) => {
      if (first !== undefined) {
        process.stderr.write('Interrupted; everything was cleaned up.\n')
        return 128 + constants.signals[first]
      }
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      process.stderr.write(`${text}\n`)
      return 1
    },
  }
}
