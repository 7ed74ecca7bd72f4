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
  /**
   * Where the search begins: with the owner's work done, or with COMMIT executed and the owner
   * crashed. The second spares what the other bounds drain, and leaves room for what comes after.
   */
  readonly begins: 'working' | 'decided'
  readonly resolveWhen: 'applied' | 'decided'
  /** Other processes that recover. The owner's own recovery comes on top, and has no bound. */
  readonly recoverers: 0 | 1 | 2
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
  /** The decider is set back to a backup, and its list of epochs is emptied. */
  readonly setbacks: number
  /** The voter is set back: it loses its prepared branch, or has again what it had before. */
  readonly losses: number
  /** Processes that forget. */
  readonly cleaners: 0 | 1 | 2
  /** Passes that each of them begins. */
  readonly cleanings: number
  /** Whoever looks whether a receipt has its decision. */
  readonly witnesses: 0 | 1
  /** The epoch is taken off the decider's list. */
  readonly unlistings: 0 | 1
  /** The decider fails over to another server. */
  readonly failovers: 0 | 1
  /** What a fail-over loses, and so whether *Ask* compares servers. */
  readonly failover: 'lossy' | 'lossless'
}

export const FAULTLESS: Bounds = {
  order: 'durable-first',
  begins: 'working',
  resolveWhen: 'applied',
  recoverers: 2,
  rounds: 1,
  outcomes: 0,
  breaks: 0,
  restarts: 0,
  refusals: 0,
  setbacks: 0,
  losses: 0,
  cleaners: 0,
  cleanings: 0,
  witnesses: 0,
  unlistings: 0,
  failovers: 0,
  failover: 'lossy',
}

const CRASHES: Bounds = { ...FAULTLESS, rounds: 2, breaks: 1, restarts: 1, refusals: 1 }
const SET_BACK: Bounds = { ...FAULTLESS, breaks: 1, restarts: 1, setbacks: 1 }
const UNLISTED: Bounds = {
  ...FAULTLESS,
  recoverers: 1,
  breaks: 1,
  restarts: 1,
  outcomes: 1,
  unlistings: 1,
}
const FAILED_OVER: Bounds = { ...FAULTLESS, recoverers: 1, refusals: 1, outcomes: 1, failovers: 1 }

/** What `npm test` drains. */
export const BOUNDS: Readonly<Record<string, Bounds>> = {
  'crashes, flushed then shown': CRASHES,
  'crashes, shown then flushed': { ...CRASHES, order: 'visible-first' },
  'told at the decision': { ...CRASHES, rounds: 1, outcomes: 1, resolveWhen: 'decided' },
  'the decider is set back': { ...SET_BACK, outcomes: 1, refusals: 1 },
  'the decider is set back, shown then flushed': { ...SET_BACK, order: 'visible-first' },
  'the epoch is unlisted': { ...UNLISTED, refusals: 1 },
  'the epoch is unlisted, shown then flushed': { ...UNLISTED, order: 'visible-first' },
  'the decider fails over, and something is lost': { ...FAILED_OVER, failover: 'lossy' },
  'the decider fails over, and nothing is lost': { ...FAILED_OVER, failover: 'lossless' },
  'the voter is set back': { ...CRASHES, losses: 1 },
  'both are set back': { ...SET_BACK, recoverers: 1, losses: 1 },
  'the voter is set back, shown then flushed': {
    ...CRASHES,
    order: 'visible-first',
    rounds: 1,
    losses: 1,
  },
}

/** The transaction is over, and two cleaners and a witness come; the epoch may go at any time. */
const FORGOTTEN: Bounds = {
  ...FAULTLESS,
  begins: 'decided',
  recoverers: 1,
  rounds: 2,
  restarts: 1,
  cleaners: 2,
  cleanings: 1,
  witnesses: 1,
  unlistings: 1,
}

/** They come while it is still under way. */
const OVERTAKEN: Bounds = { ...FORGOTTEN, begins: 'working', rounds: 1, cleaners: 1, witnesses: 0 }

/** Both orders of one kind of bounds. */
function inBothOrders(name: string, bounds: Bounds): Readonly<Record<string, Bounds>> {
  return {
    [`${name}, flushed then shown`]: { ...bounds, order: 'durable-first' },
    [`${name}, shown then flushed`]: { ...bounds, order: 'visible-first' },
  }
}

/** What `npm test` drains of forgetting. */
export const FORGETTING_BOUNDS: Readonly<Record<string, Bounds>> = {
  ...inBothOrders('cleaned while it ends', OVERTAKEN),
  ...inBothOrders('two cleaners', { ...FORGOTTEN, breaks: 1 }),
  ...inBothOrders('two cleaners, the decider is set back', { ...FORGOTTEN, setbacks: 1 }),
  ...inBothOrders('two cleaners, the voter is set back', { ...FORGOTTEN, losses: 1 }),
  ...inBothOrders('two cleaners, both are set back', {
    ...FORGOTTEN,
    rounds: 1,
    setbacks: 1,
    losses: 1,
  }),
  ...inBothOrders('two cleaners, a fail-over', { ...FORGOTTEN, failovers: 1 }),
  ...inBothOrders('two cleaners, a fail-over that loses nothing', {
    ...FORGOTTEN,
    failovers: 1,
    failover: 'lossless',
  }),
}

/** What `npm run test:full` drains as well: minutes. */
export const FULL_BOUNDS: Readonly<Record<string, Bounds>> = {
  'more crashes, flushed then shown': { ...CRASHES, breaks: 2, restarts: 2, outcomes: 1 },
  'more crashes, shown then flushed': {
    ...CRASHES,
    order: 'visible-first',
    breaks: 2,
    restarts: 2,
    outcomes: 1,
  },
  'more rounds, and the decider is set back': { ...SET_BACK, rounds: 2, refusals: 1, outcomes: 1 },
  ...inBothOrders('more breaks while it is cleaned', { ...OVERTAKEN, breaks: 1, witnesses: 1 }),
  'everything is set back while it is cleaned': {
    ...OVERTAKEN,
    restarts: 0,
    setbacks: 1,
    losses: 1,
    failovers: 1,
  },
  ...inBothOrders('more passes', { ...FORGOTTEN, breaks: 1, restarts: 2, cleanings: 2 }),
  ...inBothOrders('two cleaners, everything is set back', {
    ...FORGOTTEN,
    rounds: 1,
    setbacks: 1,
    losses: 1,
    failovers: 1,
  }),
}

/** Where planted faults are looked for: wide enough for each, and no wider. */
export const FAULT_BOUNDS: Bounds = { ...FAULTLESS, breaks: 1, restarts: 1, refusals: 1 }

/** For those of forgetting: two cleaners may overtake each other. */
export const CLEANED: Bounds = { ...FORGOTTEN, rounds: 1 }

/** Two recoverers: one that ends the branch, and one that comes too late. */
export const TOO_LATE: Bounds = { ...CLEANED, recoverers: 2, cleaners: 1, witnesses: 0 }

/** From the beginning, so that the witness may come before the claim. */
export const WATCHED: Bounds = { ...FAULTLESS, witnesses: 1 }

/** The most worlds that a search may see: a search that needs more is not drained, and fails. */
export const MOST_STATES = 12_000_000
