/**
 * What could not be read or reached while one database was gone through.
 *
 * Promises: what failed once is not tried again in the same pass; the first error is kept.
 */
export class Troubles {
  readonly #errors = new Map<string, unknown>()

  /** The first participant that gave trouble, and its error. */
  get first(): readonly [string, unknown] | undefined {
    const [first] = this.#errors
    return first
  }

  add(participant: string, error: unknown): void {
    if (!this.#errors.has(participant)) this.#errors.set(participant, error)
  }

  async attempt<T>(participant: string, work: () => Promise<T>): Promise<T | 'unknown'> {
    if (this.#errors.has(participant)) return 'unknown'
    try {
      return await work()
    } catch (error) {
      this.add(participant, error)
      return 'unknown'
    }
  }
}
