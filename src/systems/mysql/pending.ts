/**
 * What is under way on one connection, so that cutting it settles that at once.
 *
 * Promises: whatever is under way when the link is cut is lost in that moment, whenever the driver
 * notices; an answer that comes later is dropped.
 */
import { replyOf } from './driver.ts'
import type { Reply } from './driver.ts'

export class Pending {
  /** Of what is under way: no promise outlives its statement, on a link that lives for weeks. */
  readonly #waiting = new Set<(cause: Error) => void>()
  #isCut = false
  #underWay = 0
  #onQuiet = (): void => undefined

  /** Whether the driver still owes an answer. */
  get isQuiet(): boolean {
    return this.#underWay === 0
  }

  /** A statement of ours. Never rejects. */
  async answer(ask: () => Promise<Reply>): Promise<Reply> {
    try {
      return await this.run(ask)
    } catch (error) {
      return replyOf(error)
    }
  }

  /** A statement of the user's, with his result or error; or that the connection was cut. */
  run<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#isCut) return Promise.reject(new ConnectionCut('the connection was cut'))
    this.#underWay += 1
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      const answered = (): void => {
        this.#waiting.delete(reject)
        this.#underWay -= 1
        if (this.#underWay === 0) this.#onQuiet()
      }
      ask().then(
        (value) => {
          answered()
          resolve(value)
        },
        (error: unknown) => {
          answered()
          reject(error instanceof Error ? error : new Error(String(error)))
        },
      )
    })
  }

  /** Called once. `then` is called when the driver owes nothing more: at once, or later. */
  cut(then: () => void = () => undefined): void {
    this.#isCut = true
    const cause = new ConnectionCut('the connection was cut')
    for (const reject of this.#waiting) reject(cause)
    this.#waiting.clear()
    if (this.isQuiet) then()
    else this.#onQuiet = then
  }
}

/** As both drivers say of errors behind which a connection can't be used any more. */
class ConnectionCut extends Error {
  readonly fatal = true
}
