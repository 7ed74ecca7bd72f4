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
  'with-watch',
] as const
export type StepName = (typeof STEP_NAMES)[number]

export interface Step {
  readonly title: string
  /** What it says besides the user's statements. */
  readonly messages: (ids: Ids, statements: LadderStatements) => Messages
}

/** Each is one message, answered before the next leaves. */
export interface Messages {
  /** In front of the statement in `orders`. */
  readonly orders: readonly Line[]
  /** In front of the statement in `stock`. */
  readonly stock: readonly Line[]
  /** `orders` prepares. */
  readonly vote: readonly Line[]
  /** `stock` commits: from here on the transaction is committed. */
  readonly decide: readonly Line[]
  /** `orders` obeys. */
  readonly apply: readonly Line[]
}

/** Lists that never change: their bytes are made once for each connection. */
const BEGUN: readonly Line[] = [BEGIN]
const BEGUN_TIMED: readonly Line[] = [BEGIN, IDLE_TIMEOUT]
const BEGUN_PROVEN: readonly Line[] = [BEGIN, BIND_PROOF, IDLE_TIMEOUT]
const BEGUN_WATCHED: readonly Line[] = [BEGIN, BIND_PROOF, IDLE_TIMEOUT, WATCH]
const SETTINGS: readonly Line[] = [RUN_DEFERRED, WARN, DURABLE]
const PROVEN: readonly Line[] = [PROVE, WARN, DURABLE]
const COMMITTED: readonly Line[] = [COMMIT]
const COMMITTED_SET: readonly Line[] = [...SETTINGS, COMMIT]
const COMMITTED_PROVEN: readonly Line[] = [...PROVEN, COMMIT]

export const STEPS: Readonly<Record<StepName, Step>> = {
  unrecorded: {
    title: 'one decides, recorded nowhere',
    messages: (ids) => ({
      orders: BEGUN,
      stock: BEGUN,
      vote: [prepare(ids)],
      decide: COMMITTED,
      apply: [commitPrepared(ids)],
    }),
  },
  'with-time-out': {
    title: '+ idle time-out',
    messages: (ids) => ({
      orders: BEGUN_TIMED,
      stock: BEGUN_TIMED,
      vote: [prepare(ids)],
      decide: COMMITTED,
      apply: [commitPrepared(ids)],
    }),
  },
  'with-marks': {
    title: '+ claim and receipt',
    messages: (ids, statements) => ({
      orders: BEGUN_TIMED,
      stock: [...BEGUN_TIMED, statements.claim(ids)],
      vote: [statements.receipt(ids), prepare(ids)],
      decide: COMMITTED,
      apply: [commitPrepared(ids)],
    }),
  },
  'with-epoch': {
    title: '+ listed epoch, this server',
    messages: (ids, statements) => ({
      orders: BEGUN_TIMED,
      stock: [...BEGUN_TIMED, statements.claimInEpoch(ids)],
      vote: [statements.receipt(ids), prepare(ids)],
      decide: COMMITTED,
      apply: [commitPrepared(ids)],
    }),
  },
  'with-settings': {
    title: '+ settings, deferred first',
    messages: (ids, statements) => ({
      orders: BEGUN_TIMED,
      stock: [...BEGUN_TIMED, statements.claimInEpoch(ids)],
      vote: [...SETTINGS, OWN_ROLE, statements.receipt(ids), prepare(ids)],
      decide: COMMITTED_SET,
      apply: [commitPrepared(ids)],
    }),
  },
  'with-proof': {
    title: '+ the very transaction',
    messages: (ids, statements) => ({
      orders: BEGUN_PROVEN,
      stock: [...BEGUN_PROVEN, statements.claimInEpoch(ids)],
      vote: [...PROVEN, OWN_ROLE, statements.receipt(ids), prepare(ids)],
      decide: COMMITTED_PROVEN,
      apply: [commitPrepared(ids)],
    }),
  },
  'with-watch': {
    title: '+ a hidden end is reported',
    messages: (ids, statements) => ({
      orders: BEGUN_PROVEN,
      stock: [...BEGUN_WATCHED, statements.claimInEpoch(ids)],
      vote: [...PROVEN, OWN_ROLE, statements.receipt(ids), prepare(ids)],
      decide: COMMITTED_PROVEN,
      apply: [commitPrepared(ids)],
    }),
  },
}
