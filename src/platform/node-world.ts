/**
 * Node's clock, timers and random bytes.
 *
 * Owns: the only use of `performance`, `setTimeout` and `node:crypto` outside `systems/`.
 * Promises: `rest` never keeps a process alive; `sleep` does, since somebody awaits it.
 */
import { randomFillSync } from 'node:crypto'
import type { World } from '../ports/index.ts'

export const nodeWorld: World = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  random: () => Math.random(),
  randomBytes: drawBytes,
  timer: startTimer,
  sleep: (ms, signal) => wait(ms, signal, 'awaited'),
  rest: (ms, signal) => wait(ms, signal, 'background'),
}

/** Drawn at once: a call for each transaction costs as much as half of the protocol (measured). */
const pool = Buffer.alloc(4_096)
let used = pool.length

/**
 * Unpredictable, and different even where the generator repeats itself: a machine that is resumed
 * twice from one snapshot has all of its memory twice, that of OpenSSL's generator included. So the
 * clock, to the nanosecond, is mixed in; bytes that are random stay so.
 */
function drawBytes(length: number): Uint8Array {
  if (used + length > pool.length) {
    if (length > pool.length) throw new RangeError(`${length} random bytes at once`)
    randomFillSync(pool)
    used = 0
  }
  const bytes = Buffer.allocUnsafe(length)
  pool.copy(bytes, 0, used, used + length)
  pool.fill(0, used, used + length)
  used += length
  const [seconds, nanoseconds] = process.hrtime()
  let clock = nanoseconds + seconds * 1e9
  // From the end: what is there of a txid is random in all of its bits.
  for (let at = length - 1; at >= 0 && clock >= 1; at -= 1) {
    bytes[at] = (bytes[at] ?? 0) ^ (clock % 256)
    clock = Math.floor(clock / 256)
  }
  return bytes
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
