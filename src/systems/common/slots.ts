/**
 * A bounded number of connections that Assent keeps for itself.
 *
 * Owns: who has which of them, and when an idle one is closed.
 * Promises: nobody waits for one without a bound; one that is busy keeps its place until whoever has
 * it is done; one that broke is replaced at its next use; an idle one does not keep the process alive.
 * Never: holds one while waiting for another (every use is one question to one database), so two
 * databases can't wait for each other here.
 */
import type { World } from '../../ports/index.ts'

/** How long to wait for a free connection, or for a new one to be opened. */
export const CONNECT_MS = 5_000

/** The connection could not be had, so nothing was said. */
export class NoConnection extends Error {}

/** What is done with a connection; the same for all of them. */
export interface Keeping<C> {
  /** Opens one. `onBroken` is called if it breaks later, whoever has it then. */
  open(onBroken: () => void): Promise<C>
  /** Closes one, however broken it is. Never rejects. */
  close(connection: C): Promise<void>
  keepAlive(connection: C, how: 'yes' | 'no'): void
}

export interface Held<C> {
  readonly connection: C
  /** Whether it is left in a state in which nobody else may have it, as of now. */
  readonly breaks: (isBroken: boolean) => void
}

interface Slot<C> {
  connection: C | undefined
  state: 'free' | 'busy' | 'broken'
  idleSince: number
}

export class Slots<C> {
  readonly #world: World
  readonly #keeping: Keeping<C>
  readonly #limit: number
  readonly #idleMs: number
  readonly #slots: Slot<C>[] = []
  readonly #waiting = new Set<(slot: Slot<C>) => void>()
  #closed = false

  constructor(facts: {
    readonly world: World
    readonly keeping: Keeping<C>
    readonly limit: number
    /** When an idle one is closed; `Infinity` for never. */
    readonly idleMs: number
  }) {
    this.#world = facts.world
    this.#keeping = facts.keeping
    this.#limit = facts.limit
    this.#idleMs = facts.idleMs
  }

  /**
   * Lends a connection to `use`.
   *
   * @throws NoConnection with the reason as `cause`
   */
  async use<T>(use: (held: Held<C>) => Promise<T>): Promise<T> {
    const slot = await this.#take()
    try {
      const connection = (slot.connection ??= await this.#open(slot))
      this.#keeping.keepAlive(connection, 'yes')
      return await use({
        connection,
        breaks: (isBroken) => {
          slot.state = isBroken ? 'broken' : 'busy'
        },
      })
    } finally {
      this.#giveBack(slot)
    }
  }

  /** Ends them: those in use when they are given back. */
  async close(): Promise<void> {
    this.#closed = true
    const free = this.#slots.filter((slot) => slot.state === 'free')
    await Promise.all(free.map((slot) => this.#drop(slot)))
  }

  async #take(): Promise<Slot<C>> {
    if (this.#closed) throw new NoConnection('the Assent object was closed')
    const free =
      this.#slots.find((slot) => slot.state === 'free' && slot.connection !== undefined) ??
      this.#slots.find((slot) => slot.state === 'free')
    if (free !== undefined) {
      free.state = 'busy'
      return free
    }
    if (this.#slots.length < this.#limit) {
      const slot: Slot<C> = { connection: undefined, state: 'busy', idleSince: 0 }
      this.#slots.push(slot)
      return slot
    }
    return this.#wait()
  }

  #wait(): Promise<Slot<C>> {
    return new Promise((resolve, reject) => {
      const receive = (slot: Slot<C>): void => {
        cancel()
        resolve(slot)
      }
      const giveUp = (): void => {
        this.#waiting.delete(receive)
        reject(new NoConnection('every connection for recovery is busy'))
      }
      const cancel = this.#world.timer(CONNECT_MS, giveUp, 'awaited')
      this.#waiting.add(receive)
    })
  }

  async #open(slot: Slot<C>): Promise<C> {
    if (this.#closed) throw new NoConnection('the Assent object was closed')
    const lent: { connection?: C } = {}
    lent.connection = await this.#keeping.open(() => {
      // What was under way is answered `lost`; the next use connects anew.
      if (slot.connection !== lent.connection) return
      if (slot.state === 'free') slot.connection = undefined
      else slot.state = 'broken'
    })
    return lent.connection
  }

  #giveBack(slot: Slot<C>): void {
    if (slot.state === 'broken' || this.#closed) void this.#drop(slot)
    if (slot.connection !== undefined) this.#keeping.keepAlive(slot.connection, 'no')
    slot.idleSince = this.#world.now()
    slot.state = 'free'
    const [next] = this.#waiting
    if (next === undefined) {
      void this.#closeWhenIdle(slot, slot.idleSince)
      return
    }
    this.#waiting.delete(next)
    slot.state = 'busy'
    next(slot)
  }

  async #closeWhenIdle(slot: Slot<C>, since: number): Promise<void> {
    if (this.#idleMs === Infinity) return
    await this.#world.rest(this.#idleMs)
    if (slot.state === 'free' && slot.idleSince === since) await this.#drop(slot)
  }

  async #drop(slot: Slot<C>): Promise<void> {
    const { connection } = slot
    slot.connection = undefined
    if (connection !== undefined) await this.#keeping.close(connection)
  }
}
