/**
 * Answers that are awaited on one connection, so that cutting it settles them at once.
 *
 * Promises: whatever is under way when the link is cut is `lost` in that moment, whenever the driver
 * notices; an answer that comes later is dropped.
 */
import { replyOf } from './driver.ts'
import type { Reply } from './driver.ts'

export class Pending {
  readonly #cut = Promise.withResolvers<Reply>()
  #isCut = false

  get isCut(): boolean {
    return this.#isCut
  }

  /** Never rejects. */
  answer(asked: () => Promise<Reply>): Promise<Reply> {
    if (this.#isCut) return this.#cut.promise
    return Promise.race([asked().catch(replyOf), this.#cut.promise])
  }

  cut(): void {
    this.#isCut = true
    this.#cut.resolve({ kind: 'lost', cause: new Error('the connection was cut') })
  }
}
