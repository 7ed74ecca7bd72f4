/**
 * Reading a database's epoch before the first transaction that may need it.
 *
 * Owns: doing it now and then per process and participant, and not where one database is all
 * there is and no receipt is asked for.
 * Promises: never fails a transaction. Whoever needs the epoch asks for it again, and gets the error.
 *
 * Why before BEGIN: under REPEATABLE READ and SERIALIZABLE the claim reads the list of epochs in
 * the user's snapshot. An epoch that was opened after that snapshot would not be found.
 */
import type { Participant, World } from '../ports/index.ts'

/** How long one reading, or one failure to read, is good for. */
const AGAIN_MS = 60_000

export class Warmth {
  readonly #world: World
  readonly #isNeeded: boolean
  readonly #warm = new Map<string, { readonly read: Promise<void>; readonly at: number }>()

  constructor(participants: number, world: World) {
    this.#isNeeded = participants > 1
    this.#world = world
  }

  of(participant: Participant, receipt: 'always' | 'when needed'): Promise<void> {
    if (!this.#isNeeded && receipt === 'when needed') return Promise.resolve()
    const before = this.#warm.get(participant.name)
    if (before !== undefined && this.#world.now() - before.at < AGAIN_MS) return before.read
    const read = participant.currentEpoch().then(
      () => undefined,
      () => undefined,
    )
    this.#warm.set(participant.name, { read, at: this.#world.now() })
    return read
  }
}
