/**
 * Waiting that a signal may end. What was waited for goes on; only the waiting ends.
 */

/** The promise, or the signal's reason if that comes first. */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  promise: Promise<T>,
): Promise<T> {
  if (signal === undefined) return promise
  if (signal.aborted) {
    promise.catch(() => undefined)
    throw signal.reason
  }
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => {
    aborted.reject(signal.reason as Error)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    promise.catch(() => undefined)
  }
}

/** A call, so that it is read anew each time: the compiler takes a property for unchanged. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted
}
