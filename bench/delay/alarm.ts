/**
 * Owns: waking this thread at a moment that is given to a fraction of a millisecond.
 * Promises: `ring` is called at or after the moment set, once; a later call of `set` replaces the
 * moment. While nothing is set, nothing runs.
 * Never: spins. (Node's own timers know whole milliseconds, and half of one is what is needed.)
 *
 * A thread sleeps in Atomics.wait, whose time-out has fractions, and then sends a message.
 */
import { Worker } from 'node:worker_threads'

/** `cells[0]` changes with each setting; `moments[0]` is the moment, Infinity for none. */
const SLEEPER = `
const { parentPort, workerData } = require('node:worker_threads')
const cells = new Int32Array(workerData, 0, 1)
const moments = new Float64Array(workerData, 8, 1)
for (;;) {
  const setting = Atomics.load(cells, 0)
  if (setting < 0) break
  const leftMs = moments[0] - Number(process.hrtime.bigint()) / 1e6
  if (leftMs > 0) {
    Atomics.wait(cells, 0, setting, leftMs)
    continue
  }
  parentPort.postMessage(setting)
  Atomics.wait(cells, 0, setting)
}
`

/** Milliseconds of the clock that all threads of a process share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export class Alarm {
  readonly #memory = new SharedArrayBuffer(16)
  readonly #cells = new Int32Array(this.#memory, 0, 1)
  readonly #moments = new Float64Array(this.#memory, 8, 1)
  readonly #sleeper: Worker

  constructor(ring: () => void) {
    this.#moments[0] = Infinity
    this.#sleeper = new Worker(SLEEPER, { eval: true, workerData: this.#memory })
    this.#sleeper.on('message', (setting: number) => {
      if (setting === Atomics.load(this.#cells, 0)) ring()
    })
  }

  set(moment: number): void {
    this.#moments[0] = moment
    this.#change((Atomics.load(this.#cells, 0) + 1) % 0x7fffffff)
  }

  async close(): Promise<void> {
    this.#change(-1)
    await this.#sleeper.terminate()
  }

  #change(value: number): void {
    Atomics.store(this.#cells, 0, value)
    Atomics.notify(this.#cells, 0)
  }
}
