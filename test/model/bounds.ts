/**
 * Every bound of the explorations, with its reason.
 *
 * A bound is what the search can't do without: each of these events could happen for ever. What has
 * no bound here (pauses, the order of messages, the end of an idle transaction, how often an owner
 * asks) is explored without one.
 */
import type { Order } from './database.ts'

export interface Bounds {
  readonly order: Order
  readonly resolveWhen: 'applied' | 'decided'
  /** Other processes that recover. */
  readonly recoverers: number
  /** Rounds that each of them begins. */
  readonly rounds: number
  /** Times that `outcome()` is asked once the caller was told something. */
  readonly outcomes: number
  /** Connections that break, with whatever was under way on them. */
  readonly breaks: number
  /** Kills of a database server, of either one. */
  readonly restarts: number
  /** Statements that a database refuses. */
  readonly refusals: number
  /** The decider's epoch is unlisted, or the decider is set back to a backup. */
  readonly setbacks: number
  /** The voter is set back and loses its prepared branch. */
  readonly losses: number
}

const NOTHING: Bounds = {
  order: 'durable-first',
  resolveWhen: 'applied',
  recoverers: 2,
  rounds: 1,
  outcomes: 0,
  breaks: 0,
  restarts: 0,
  refusals: 0,
  setbacks: 0,
  losses: 0,
}

/** What `npm test` drains. */
export const BOUNDS = {
  'two recoverers': { ...NOTHING, rounds: 2, breaks: 1, restarts: 1, refusals: 1 },
  'visible first': { ...NOTHING, order: 'visible-first', breaks: 1, restarts: 1 },
} as const satisfies Record<string, Bounds>
