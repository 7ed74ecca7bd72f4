/**
 * Owns: the random choices of the demo, all drawn from one seed.
 * Promises: the same seed gives the same choices in the same order. What they meet in the databases
 * still differs from run to run: the operating system is not seeded.
 */
export class Random {
  #state: number

  /** `stream` gives each process choices of its own under the same seed. */
  constructor(seed: number, stream = 0) {
    this.#state = (seed ^ Math.imul(stream + 1, 0x9e3779b1)) | 0
  }

  /** In [0, 1): mulberry32, which is short, and good enough to choose victims. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(things: readonly T[]): T {
    const thing = things[Math.floor(this.next() * things.length)]
    if (thing === undefined) throw new Error('nothing to pick from')
    return thing
  }

  shuffle<T>(things: readonly T[]): T[] {
    const shuffled = [...things]
    for (let last = shuffled.length - 1; last > 0; last -= 1) {
      const other = this.between(0, last)
      const moved = shuffled[last] as T
      shuffled[last] = shuffled[other] as T
      shuffled[other] = moved
    }
    return shuffled
  }
}
