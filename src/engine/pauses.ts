/**
 * The pauses before the scans, of all databases of this process.
 *
 * Owns: their one timer, and who goes on when it fires.
 * Promises: nobody rests beyond the end of his pause; whoever may go on a little earlier does so
 * when somebody else's pause ends, and at no other time.
 *
 * Waking up is most of what an idle process costs: what a moment of work needs has left the
 * processor's caches. So several databases share it where that makes no scan later.
 */
import type { World } from '../ports/index.ts'

/** When a pause ends. Both may change while it lasts: say so with `reconsider`. */
export interface Pause {
  /** From then on it may end, if this process is awake anyway. */
  readonly mayEndAt: number
  readonly endsAt: number
}

/** A timer may be this much early, by the clock that pauses are measured with. */
const EARLY_MS = 1

interface Resting {
  readonly pause: () => Pause
  readonly end: () => void
}

export class Pauses {
  readonly #world: World
  readonly #resting = new Map<string, Resting>()
  #timer: { readonly at: number; readonly cancel: () => void } | undefined
  #state: 'open' | 'closed' = 'open'

  constructor(world: World) {
    this.#world = world
  }

  /** Resolves when the pause ends, or was ended. One for each name at a time. */
  rest(name: string, pause: () => Pause): Promise<void> {
    return new Promise((resolve) => {
      if (this.#state === 'closed') {
        resolve()
        return
      }
      this.#resting.set(name, { pause, end: resolve })
      this.#wakeAt(pause().endsAt)
    })
  }

  /** When its pause ends may have changed. */
  reconsider(name: string): void {
    const resting = this.#resting.get(name)
    if (resting !== undefined) this.#wakeAt(resting.pause().endsAt)
  }

  /** Ends every pause, and those that are still to begin. */
  close(): void {
    this.#state = 'closed'
    this.#timer?.cancel()
    for (const name of this.#resting.keys()) this.#end(name)
  }

  /** Wakes at that moment at the latest. */
  #wakeAt(at: number): void {
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.cancel()
    this.#timer = undefined
    const leftMs = at - this.#world.now()
    if (leftMs <= 0) {
      this.#wake()
      return
    }
    const wake = (): void => {
      this.#wake()
    }
    this.#timer = { at, cancel: this.#world.timer(Math.ceil(leftMs), wake, 'background') }
  }

  #wake(): void {
    this.#timer = undefined
    const now = this.#world.now()
    const pauses = [...this.#resting].map(([name, { pause }]) => ({ name, ...pause() }))
    const isDue = pauses.some(({ endsAt }) => endsAt - now < EARLY_MS)
    let next = Infinity
    for (const { name, mayEndAt, endsAt } of pauses) {
      if (isDue && mayEndAt <= now) this.#end(name)
      else next = Math.min(next, endsAt)
    }
    if (next < Infinity) this.#wakeAt(next)
  }

  #end(name: string): void {
    const resting = this.#resting.get(name)
    this.#resting.delete(name)
    resting?.end()
  }
}
