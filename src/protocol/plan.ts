/**
 * Who plays which part in one transaction, settled when the user's function has returned.
 *
 * Owns: the choice of the protocol and of the decider.
 * Promises: a plan names every joined participant exactly once; two writers that can't prepare are
 * refused here, before anything is marked.
 * Never: guesses who wrote. A branch that was not declared a reader counts as a writer, since a
 * database can hide writes from us (NOTIFY and foreign tables assign no xid on PostgreSQL).
 */

/** A participant that joined, in the order of joining. */
export interface Joined {
  readonly name: string
  readonly access: 'read' | 'write'
  /** Whether its system can keep a prepared branch (`max_prepared_transactions > 0`). */
  readonly canPrepare: boolean
}

/** At most one branch wrote: its own COMMIT is the decision. */
export interface OnePhasePlan {
  readonly protocol: 'one-phase'
  readonly readers: readonly string[]
  /** The only branch that may have written: none or one. */
  readonly writers: readonly [] | readonly [string]
}

/**
 * Two or more wrote: all but the decider prepare, and its COMMIT decides. With a wish for a receipt
 * also one that wrote alone: then there are no voters, and its mark can be asked for.
 */
export interface TwoPhasePlan {
  readonly protocol: 'two-phase'
  readonly readers: readonly string[]
  /** Its COMMIT is the decision. */
  readonly decider: string
  /** Every other writer, in the order of joining: they prepare. */
  readonly voters: readonly string[]
}

/** Who plays which part: `tx.plan`. */
export type Plan = OnePhasePlan | TwoPhasePlan

export type Settled =
  | { readonly plan: Plan }
  /** These all wrote and can't prepare; at most one of them could be the decider. */
  | { readonly refused: readonly string[] }

/**
 * The register of a branch that must name it as it begins (MySQL's XA START), when others have begun
 * `before`: whoever `settle` would let decide among all of them. So the wished one; else the one that
 * can't prepare; else the second that joined, or the joining one itself if it is among the first two.
 * It is then the wish that `settle` is given, since it can't change any more.
 */
export function registerOf(
  joining: string,
  before: readonly Joined[],
  wish: string | undefined,
): string {
  const writers = before.filter((branch) => branch.access === 'write')
  const unable = writers.find((branch) => !branch.canPrepare)
  return wish ?? unable?.name ?? writers[1]?.name ?? joining
}

/**
 * Settles the roles.
 *
 * The decider is the one that can't prepare, if there is one; else the wished one, if it wrote; else
 * the second that joined: the first of which it is known, when it joins, that there will be something
 * to decide, so that its claim can go along with its first statement. A wish that contradicts the
 * first rule is refused, not overruled.
 */
export function settle(
  joined: readonly Joined[],
  wish: string | undefined,
  receipt: 'always' | 'when needed' = 'when needed',
): Settled {
  const readers: string[] = []
  const writers: Joined[] = []
  for (const branch of joined) {
    if (branch.access === 'read') readers.push(branch.name)
    else writers.push(branch)
  }
  const [first, second] = writers
  if (first === undefined) return { plan: { protocol: 'one-phase', readers, writers: [] } }
  if (second === undefined && receipt === 'always') {
    return { plan: { protocol: 'two-phase', readers, decider: first.name, voters: [] } }
  }
  if (second === undefined) {
    return { plan: { protocol: 'one-phase', readers, writers: [first.name] } }
  }
  const wished = writers.find((branch) => branch.name === wish)
  const unable = writers.filter((branch) => !branch.canPrepare)
  const decider = wished ?? unable[0] ?? second
  const refused = unable.filter((branch) => branch.name !== decider.name)
  if (refused.length > 0) return { refused: unable.map((branch) => branch.name) }
  return {
    plan: {
      protocol: 'two-phase',
      readers,
      decider: decider.name,
      voters: writers.filter((branch) => branch !== decider).map((branch) => branch.name),
    },
  }
}
