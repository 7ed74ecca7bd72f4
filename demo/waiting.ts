/**
 * Owns: waiting in the parent, always with an end.
 * Promises: every wait ends at once when the demo is interrupted, by throwing the signal's reason.
 */
import { setTimeout as sleep } from 'node:timers/promises'

export async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(durationMs, undefined, { signal })
  } catch {
    signal.throwIfAborted()
  }
}

/** Whether the condition came true in time. */
export async function comesTrue(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() >= deadline) return false
    await pause(20, signal)
  }
  return true
}
