/**
 * Whether a transaction whose register has no row of it has been applied somewhere all the same.
 *
 * Why: a snapshot that is put back in a register's place can't be told from the register itself
 * (`assent restored` says so, if somebody remembers to run it). But a receipt is only committed behind
 * a decision, and a decision stays while a branch of its transaction is prepared: so a receipt, beside
 * a branch that is prepared and a row that is missing, is proof that one of the databases was set back.
 * Others of that epoch may be lost as well: what has no row there is not taken for aborted any more.
 *
 * Owns: asking the other participants, and which epochs are not trusted.
 * Promises: asked after the register, it finds no receipt of a transaction that can still end well. It
 * is a net, and no condition: whoever can't say so within a moment is not waited for, or one
 * participant that is down would keep the locks of all that was never decided.
 * Never: rejects.
 */
import type { TransactionId } from '../protocol/index.ts'
import type { Participant, World } from '../ports/index.ts'
import { LIMITS } from './limits.ts'

export type Looked = 'receipt' | 'no receipt'

type Epoch = Pick<TransactionId, 'register' | 'epoch'>

export class Elsewhere {
  readonly #participants: ReadonlyMap<string, Participant>
  readonly #world: World
  readonly #onDistrusted: (register: string) => void
  /** Epochs of which a decision is known to be lost. */
  readonly #distrusted = new Set<string>()
  /** Participants that did not answer in time, and until when they are left alone. */
  readonly #silentUntil = new Map<string, number>()

  /** `onDistrusted` is told of each register once for each epoch of it. */
  constructor(
    participants: ReadonlyMap<string, Participant>,
    world: World,
    onDistrusted: (register: string) => void = () => undefined,
  ) {
    this.#participants = participants
    this.#world = world
    this.#onDistrusted = onDistrusted
  }

  /** A decision of that epoch is known to be lost. */
  distrust({ register, epoch }: Epoch): void {
    const key = `${register} ${epoch}`
    if (this.#distrusted.has(key)) return
    this.#distrusted.add(key)
    this.#onDistrusted(register)
  }

  /** Whether a participant other than the register and `branch` has the receipt, or its epoch is not trusted. */
  async look(id: TransactionId, branch: string): Promise<Looked> {
    if (this.#distrusted.has(`${id.register} ${id.epoch}`)) return 'receipt'
    const now = this.#world.now()
    const others = [...this.#participants.values()].filter(
      ({ name }) =>
        name !== id.register && name !== branch && now >= (this.#silentUntil.get(name) ?? 0),
    )
    const found = await Promise.all(others.map((each) => this.#isApplied(each, id)))
    if (!found.includes(true)) return 'no receipt'
    this.distrust(id)
    return 'receipt'
  }

  async #isApplied({ name, memory }: Participant, id: TransactionId): Promise<boolean> {
    const isOver = new AbortController()
    const late = this.#world
      .sleep(LIMITS.lookForReceiptsMs, isOver.signal)
      .then(() => 'late' as const)
    try {
      const found = await Promise.race([memory.applied(id), late])
      if (found !== 'late') return found
      this.#silentUntil.set(name, this.#world.now() + LIMITS.silentMs)
      return false
    } catch {
      return false
    } finally {
      isOver.abort()
    }
  }
}
