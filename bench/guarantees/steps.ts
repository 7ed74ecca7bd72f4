/**
 * The ladder: what a transaction over two databases says when one guarantee after the other is
 * switched on.
 *
 * Owns: the messages of each step, from the step with the fewest guarantees on.
 * Promises: the same five messages in each, in the same order, as Assent sends them; a step adds to
 * them what its guarantee needs, and nothing else.
 */
import {
  BEGIN,
  BIND_PROOF,
  COMMIT,
  DURABLE,
  IDLE_TIMEOUT,
  OWN_ROLE,
  PROVE,
  RUN_DEFERRED,
  WARN,
  WATCH,
  commitPrepared,
  prepare,
} from './statements.ts'
import type { Ids, LadderStatements, Line } from './statements.ts'

export const STEP_NAMES = [
  'unrecorded',
  'with-time-out',
  'with-marks',
  'with-epoch',
  'with-settings',
  'with-proof',
  'on-demand',
] as const
export type StepName = (typeof STEP_NAMES)[number]

/** Each is one message, answered before the next leaves. */
export interface Messages {
  /** In front of the statement in `orders`. */
  readonly orders: Said
  /** In front of the statement in `stock`. */
  readonly stock: Said
  /** `orders` prepares. */
  readonly vote: Said
  /** `stock` commits: from here on the transaction is committed. */
  readonly decide: Said
  /** `orders` obeys. */
  readonly apply: Said
}

export interface Said {
  /** What never changes: its bytes are made once for each connection. */
  readonly fixed: readonly Line[]
  /** What follows, and is of one transaction alone. */
  readonly own: readonly Line[]
}

/** What a step says besides the user's statements. */
export interface Step {
  readonly title: string
  readonly orders: readonly Line[]
  readonly stock: readonly Line[]
  readonly claim: 'none' | 'any epoch' | 'listed epoch'
  /** In front of the receipt, and of PREPARE. */
  readonly vote: readonly Line[]
  readonly receipt: 'none' | 'written'
  readonly decide: readonly Line[]
}

const BEGUN_TIMED: readonly Line[] = [BEGIN, IDLE_TIMEOUT]
const BEGUN_PROVEN: readonly Line[] = [BEGIN, BIND_PROOF, IDLE_TIMEOUT]

const UNRECORDED: Step = {
  title: 'one decides, recorded nowhere',
  orders: [BEGIN],
  stock: [BEGIN],
  claim: 'none',
  vote: [],
  receipt: 'none',
  decide: [COMMIT],
}
const WITH_TIME_OUT: Step = {
  ...UNRECORDED,
  title: '+ idle time-out',
  orders: BEGUN_TIMED,
  stock: BEGUN_TIMED,
}
const WITH_MARKS: Step = {
  ...WITH_TIME_OUT,
  title: '+ claim and receipt',
  claim: 'any epoch',
  receipt: 'written',
}
const WITH_EPOCH: Step = {
  ...WITH_MARKS,
  title: '+ listed epoch, this server',
  claim: 'listed epoch',
}
const WITH_SETTINGS: Step = {
  ...WITH_EPOCH,
  title: '+ settings, deferred first',
  vote: [RUN_DEFERRED, OWN_ROLE],
  decide: [RUN_DEFERRED, DURABLE, COMMIT],
}
const WITH_PROOF: Step = {
  ...WITH_SETTINGS,
  title: '+ the very transaction',
  orders: BEGUN_PROVEN,
  stock: BEGUN_PROVEN,
  vote: [PROVE, OWN_ROLE],
  decide: [PROVE, DURABLE, COMMIT],
}
/** For standbys, or where a statement has set something; and where a COMMIT has a name. */
const ON_DEMAND: Step = {
  ...WITH_PROOF,
  title: '+ what is said where it is needed',
  stock: [...BEGUN_PROVEN, WATCH],
  vote: [PROVE, WARN, DURABLE, OWN_ROLE],
  decide: [PROVE, WARN, DURABLE, COMMIT],
}

export const STEPS: Readonly<Record<StepName, Step>> = {
  unrecorded: UNRECORDED,
  'with-time-out': WITH_TIME_OUT,
  'with-marks': WITH_MARKS,
  'with-epoch': WITH_EPOCH,
  'with-settings': WITH_SETTINGS,
  'with-proof': WITH_PROOF,
  'on-demand': ON_DEMAND,
}

export function messagesOf(step: Step, ids: Ids, statements: LadderStatements): Messages {
  const receipt = step.receipt === 'written' ? [statements.receipt(ids)] : []
  return {
    orders: { fixed: step.orders, own: [] },
    stock: { fixed: step.stock, own: claimOf(step, ids, statements) },
    vote: { fixed: step.vote, own: [...receipt, prepare(ids)] },
    decide: { fixed: step.decide, own: [] },
    apply: { fixed: [], own: [commitPrepared(ids)] },
  }
}

function claimOf({ claim }: Step, ids: Ids, statements: LadderStatements): readonly Line[] {
  switch (claim) {
    case 'none':
      return []
    case 'any epoch':
      return [statements.claim(ids)]
    case 'listed epoch':
      return [statements.claimInEpoch(ids)]
  }
}
