/**
 * Owns: waiting for a condition that another process brings about.
 * Promises: returns as soon as the probe says so, and fails at a deadline with what was awaited.
 * Never: waits without a deadline, or waits once for a fixed time and hopes.
 */

export interface Patience {
  readonly timeoutMs?: number
  readonly everyMs?: number
}

const defaultTimeoutMs = 10_000
const defaultEveryMs = 10

/** Polls until the probe answers neither `false` nor `undefined`; returns that answer. */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  { timeoutMs = defaultTimeoutMs, everyMs = defaultEveryMs }: Patience = {},
): Promise<Exclude<T, false | undefined>> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await probe()
    if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>
    if (Date.now() >= deadline) throw new Error(`after ${timeoutMs} ms still waiting for ${what}`)
    await pause(everyMs)
  }
}

/** Waits for a promise, but not for ever. The promise itself goes on. */
export async function within<T>(what: string, work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`after ${timeoutMs} ms still waiting for ${what}`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs))
}
