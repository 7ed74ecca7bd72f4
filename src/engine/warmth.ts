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

interface Entry {
  /** Undefined once it is done. */
  reading: Promise<void> | undefined
  readonly at: number
}

export class Warmth {
  readonly #world: World
  readonly #isNeeded: boolean
  readonly #warm = new Map<string, Entry>()

  constructor(participants: number, world: World) {
    this.#isNeeded = participants > 1
    this.#world = world
  }

  /** What to wait for; nothing while the last reading is good. */
  of(participant: Participant, receipt: 'always' | 'when needed'): Promise<void> | undefined {
    if (!this.#isNeeded && receipt === 'when needed') return undefined
    const before = this.#warm.get(participant.name)
    if (before !== undefined && this.#world.now() - before.at < AGAIN_MS) return before.reading
    const done = (): void => {
      entry.reading = undefined
    }
    const reading = participant.currentEpoch().then(done, done)
    const entry: Entry = { reading, at: this.#world.now() }
    this.#warm.set(participant.name, entry)
    return reading
  }
}
