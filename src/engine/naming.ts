/**
 * The register of a transaction in which a branch must name it as it begins (MySQL's XA START).
 *
 * Owns: which register that is, and the epoch that its branches and its claim name.
 * Promises: fixed before the first such branch begins, and never changed: every branch of the
 * transaction is asked for where it says, and by the epoch that it says.
 */
import { NO_EPOCH, registerOf } from '../protocol/index.ts'
import type { Gid, Joined } from '../protocol/index.ts'
import type { Branch, Participant } from '../ports/index.ts'
import type { Joining } from './joining.ts'
import type { Over } from './over.ts'

export interface NamingFacts {
  readonly app: string
  readonly txid: string
  /** The decider that was asked for. */
  readonly decider: string | undefined
  readonly reads: ReadonlySet<string>
  readonly over: Over
  readonly participants: ReadonlyMap<string, Participant>
}

export class Naming {
  readonly #facts: NamingFacts
  #naming: Promise<string> | undefined
  #register: string | undefined
  #epoch: string | undefined
  #claimed: string | undefined

  constructor(facts: NamingFacts) {
    this.#facts = facts
  }

  /** Once a branch has had to name it. */
  get register(): string | undefined {
    return this.#register
  }

  /** Once a voter has had to name it. */
  get epoch(): string | undefined {
    return this.#epoch
  }

  /**
   * What a branch begins under. Called in the order of joining: `before` are those that came first.
   *
   * @throws AssentError when the register can't be read, or whatever ends the waiting
   */
  async name(
    branch: string,
    before: readonly Joining[],
    cold: Promise<void> | undefined,
  ): Promise<Gid> {
    const { app, txid, over } = this.#facts
    this.#naming ??= this.#choose(branch, [...before])
    const naming = this.#naming
    if (cold !== undefined) await over.unless(cold)
    const register = await over.unless(naming)
    const epoch = register === branch ? NO_EPOCH : await over.unless(this.#epochOf(register))
    return { app, register, epoch, txid, branch }
  }

  /** Whoever would decide among those that have begun, as `settle` would have it. */
  async #choose(branch: string, before: readonly Joining[]): Promise<string> {
    const { decider, reads } = this.#facts
    // Whether one of them can prepare is known once it has joined; one that fails takes no part.
    await Promise.allSettled(before.map((joining) => joining.branch))
    const joined = joinedOf(
      before.flatMap((joining) => joining.joined ?? []),
      reads,
    )
    // An app-wide wish may turn out to be a declared reader.
    const wish = decider !== undefined && reads.has(decider) ? undefined : decider
    this.#register = registerOf(branch, joined, wish)
    return this.#register
  }

  /** Read once: all voters and the claim name the same. */
  async #epochOf(register: string): Promise<string> {
    const participant = this.#facts.participants.get(register)
    if (participant === undefined) throw new Error(`${register} is not configured`)
    const epoch = this.#claimed ?? (await participant.currentEpoch())
    this.#epoch ??= epoch
    return this.#epoch
  }

  /** The epoch that a claim names which goes along with a first statement; `known` if none is named. */
  claims(known: string | undefined): string | undefined {
    this.#claimed = this.#epoch ?? known
    return this.#claimed
  }

  /** The register, if it has to join for its claim alone: others wrote, and have named it. */
  missingAmong(writers: readonly Joining[]): string | undefined {
    const register = this.#register
    if (register === undefined) return undefined
    const isAlone =
      writers.length < 2 && writers.every(({ joined }) => joined?.mayCommitAlone !== false)
    if (isAlone) return undefined
    return writers.some(({ name }) => name === register) ? undefined : register
  }
}

export function joinedOf(
  branches: readonly Branch[],
  reads: ReadonlySet<string>,
): readonly Joined[] {
  return branches.map(({ name, canPrepare }) => ({
    name,
    access: reads.has(name) ? 'read' : 'write',
    canPrepare,
  }))
}
