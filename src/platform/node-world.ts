/**
 * Node's clock, timers and random bytes.
 *
 * Owns: the only use of `performance`, `setTimeout` and `node:crypto` outside `systems/`.
 * Promises: `rest` never keeps a process alive; `sleep` does, since somebody awaits it.
 */
import { randomBytes } from 'node:crypto'
import type { World } from '../ports/index.ts'

export const nodeWorld: World = {
  now: () => performance.now(),
  random: () => Math.random(),
  randomBytes: (length) => randomBytes(length),
  timer: startTimer,
  sleep: (ms, signal) => wait(ms, signal, 'awaited'),
  rest: (ms, signal) => wait(ms, signal, 'background'),
}

function startTimer(ms: number, then: () => void, kind: 'awaited' | 'background'): () => void {
  const timer = setTimeout(then, ms)
  if (kind === 'background') timer.unref()
  return () => {
    clearTimeout(timer)
  }
}

function wait(
  ms: number,
  signal: AbortSignal | undefined,
  kind: 'awaited' | 'background',
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve()
      return
    }
    const done = (): void => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = startTimer(ms, done, kind)
    signal?.addEventListener('abort', done, { once: true })
  })
}
