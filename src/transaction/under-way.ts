/**
 * How much is under way, for whoever has to wait for its end.
 *
 * A count, and not a set of promises: every transaction is counted twice, and a promise that only
 * says "over" costs it two more each time.
 */
export class UnderWay {
  #count = 0
  readonly #waiting: (() => void)[] = []

  /** @returns what to call at the end, once */
  begin(): () => void {
    this.#count += 1
    return () => {
      this.#count -= 1
      if (this.#count === 0) for (const then of this.#waiting.splice(0)) then()
    }
  }

  whenNone(): Promise<void> {
    if (this.#count === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
    })
  }
}
