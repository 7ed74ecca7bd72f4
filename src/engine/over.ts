/**
 * When the caller of a transaction waits no longer: its time ran out, or its signal was aborted.
 *
 * Owns: that one moment, for everything in a transaction that waits.
 * Promises: comes once, with the error to tell. What was waited for goes on; only the waiting ends.
 *
 * An AbortSignal would do the same. But a transaction waits a dozen times, and adding and removing a
 * listener of one costs more than a message of the protocol costs here (measured 2026-11, Node 24);
 * so there is one only for users, and only if they ask for it.
 */
import type { Waiting } from '../ports/index.ts'

export class Over implements Waiting {
  /** Places are not used again: a transaction waits a dozen times, for which a set is slow. */
  readonly #listeners: ((() => void) | undefined)[] = []
  #state: { readonly kind: 'waiting' } | { readonly kind: 'over'; readonly reason: unknown } = {
    kind: 'waiting',
  }
  #controller: AbortController | undefined

  get isOver(): boolean {
    return this.#state.kind === 'over'
  }

  /** The error to tell, once it is over. */
  get reason(): unknown {
    return this.#state.kind === 'over' ? this.#state.reason : undefined
  }

  /** For users, and for waits that are rare. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      if (this.isOver) controller.abort(this.reason)
    }
    return this.#controller.signal
  }

  end(reason: unknown): void {
    if (this.isOver) return
    this.#state = { kind: 'over', reason }
    this.#controller?.abort(reason)
    for (const listener of this.#listeners) listener?.()
    this.#listeners.length = 0
  }

  whenOver(then: () => void): () => void {
    if (this.isOver) {
      then()
      return () => undefined
    }
    const at = this.#listeners.push(then) - 1
    return () => {
      this.#listeners[at] = undefined
    }
  }

  /** The promise, or the reason if that comes first. */
  unless<T>(promise: Promise<T>): Promise<T> {
    const { promise: waited, resolve, reject } = Promise.withResolvers<T>()
    const callOff = this.whenOver(() => {
      reject(this.reason)
    })
    promise.then(
      (value) => {
        callOff()
        resolve(value)
      },
      (error: unknown) => {
        callOff()
        reject(error)
      },
    )
    return waited
  }
}
