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
  sleep: (ms, signal) => wait(ms, signal, 'keeps the process alive'),
  rest: (ms, signal) => wait(ms, signal, 'lets the process end'),
}

function wait(
  ms: number,
  signal: AbortSignal | undefined,
  kind: 'keeps the process alive' | 'lets the process end',
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve()
      return
    }
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    if (kind === 'lets the process end') timer.unref()
    signal?.addEventListener('abort', done, { once: true })
  })
}
