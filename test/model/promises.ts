/**
 * What must be true, whatever happens.
 *
 * Owns: the promises, each with its name, and the question whether recovery could finish from here.
 * Promises: all are asked of every world. The one that asks what would happen if everybody stopped
 * now makes the search for what can't be finished as wide as the search for what is wrong.
 */
import { twoPhase } from '../../src/protocol/index.ts'
import type { Bounds } from './bounds.ts'
import {
  afterCrash,
  isDurablyCommitted,
  isForgettingBegun,
  isListed,
  showsMark,
} from './database.ts'
import { isRemembered } from './epochs.ts'
import { forget, leftAlone, look, recover } from './passes.ts'
import type { Still } from './passes.ts'
import type { Machines } from './rules.ts'
import { LIMITED, isDecided, toldOf } from './world.ts'
import type { World } from './world.ts'

export const PROMISES = {
  atomic: 'all branches commit or none does',
  obedient: 'COMMIT PREPARED only follows a durable decision',
  told: 'what the caller is told is true, and stays true',
  agreed: 'whoever draws a conclusion from the register draws the same, true one',
  applied: 'a branch whose end is called done has ended, durably',
  remembered: 'what is prepared, or would be after a crash, still has its decision',
  'no false alarm': 'a lost vote is only reported when a vote was lost',
  'no loss cleaned away': 'a decision is neither settled nor deleted while a vote for it is lost',
  'no false report': 'a lost decision is only reported when a database was set back',
  'no silent loss': 'a lost decision is reported by whoever looks, as long as its receipt is there',
  claimed: 'COMMIT never runs without the claim',
  patient: 'while the caller waits, nothing is told before every branch has ended',
  'can finish': 'one fair round of recovery would leave nothing prepared',
  'can forget': 'one fair pass would then settle it, and forget it once its epoch is unlisted',
  ends: 'an owner that got every answer ends its transaction',
  useful: 'a transaction that nothing disturbed commits',
} as const
export type PromiseName = keyof typeof PROMISES

/** What a world breaks by what it is: of the promises asked for, the first in their order. */
export function brokenPromise(
  world: World,
  machines: Machines,
  settle: Settle,
  asked: ReadonlySet<PromiseName>,
): PromiseName | undefined {
  for (const [name, check] of CHECKS) {
    if (asked.has(name) && !check(world, machines, settle)) return name
  }
  return undefined
}

/** What a world breaks by standing still: nobody has anything left to do that is sure to come. */
export function brokenWhenQuiet(
  world: World,
  machines: Machines,
  bounds: Bounds,
  asked: ReadonlySet<PromiseName>,
): PromiseName | undefined {
  const { owner, left } = world
  if (owner.status === 'crashed') return undefined
  const { state } = owner.machine
  const isUndisturbed = LIMITED.every((name) => left[name] === bounds[name])
  const wasLeftAlone = state.waiting === 'on' && isUndisturbed
  if (asked.has('useful') && wasLeftAlone && state.told !== 'committed') return 'useful'
  // A branch that its register holds has no end to wait for, so the caller's time decides.
  // So has one that was held, even where a crash or a set-back has brought its row again.
  const { D } = world.branches
  const isHeld = !isRemembered(world, machines) && !showsMark(D)
  const wasHeld = isHeld || isForgettingBegun(D) || world.past.decisionSetBack !== 'no'
  const mayWait = wasHeld && state.waiting === 'on' && state.decision === 'commit'
  return !asked.has('ends') || mayWait || twoPhase.isOver(state) ? undefined : 'ends'
}

type Check = (world: World, machines: Machines, settle: Settle) => boolean

const WORLD_CHECKS: Readonly<Record<Exclude<PromiseName, 'ends' | 'useful'>, Check>> = {
  atomic: (world) => {
    const { D, P } = world.branches
    if (isDecided(world)) return P !== 'gone'
    return !(P === 'committed' && (D === 'gone' || D === 'open'))
  },
  told: (world) => {
    const told = toldOf(world.owner)
    if (told === 'committed') return isDecided(world)
    return told !== 'aborted' || !isDecided(world)
  },
  agreed: (world) => {
    const { concluded } = world.past
    if (concluded === 'nothing') return true
    return concluded === (isDecided(world) ? 'commit' : 'abort')
  },
  applied: (world) => isAppliedAsCalled(world),
  claimed: (world) => world.past.unclaimed === 'no',
  remembered: ({ branches: { D, P }, past }) => {
    const mayBePrepared = P === 'prepared' || isListed(P) || afterCrash(P, 'P') === 'prepared'
    const isSetBack = past.decisionSetBack !== 'no' || past.voterSetBack === 'yes'
    if (!mayBePrepared || isSetBack || !isDurablyCommitted(D)) return true
    return showsMark(D) || D === 'committing'
  },
  // What an owner tells when branch, receipt and decision are all gone is no alarm of these: it takes
  // itself for too young to have been cleaned, and the model has no age.
  'no false alarm': ({ past, branches }) =>
    past.alarm === 'no' || branches.P === 'lost' || isOlder(past),
  'no loss cleaned away': ({ past, branches: { D, P } }) => {
    if (P !== 'lost' || past.decisionSetBack !== 'no') return true
    return !isForgettingBegun(D)
  },
  'no false report': ({ past }) =>
    past.report === 'no' || past.decisionSetBack !== 'no' || past.voterSetBack === 'yes',
  patient: ({ owner }) => {
    if (owner.status === 'crashed') return true
    const { told, waiting, resolveWhen, ends } = owner.machine.state
    if (told === 'nothing' || waiting === 'over' || resolveWhen === 'decided') return true
    return Object.values(ends).every((end) => ['done', 'lost', 'handed over', 'left'].includes(end))
  },
  obedient: (world) => {
    const { P } = world.branches
    return isDecided(world) || !(showsMark(P) || isDurablyCommitted(P))
  },
  'can finish': (world, machines, settle) => settle.of(world, machines).finishes,
  'can forget': (world, machines, settle) => settle.of(world, machines).forgets,
  'no silent loss': (world, machines, settle) => settle.of(world, machines).reports,
}
const CHECKS = Object.entries(WORLD_CHECKS) as readonly (readonly [PromiseName, Check])[]

/** A register that was set back to before a settling takes what was forgotten for lost. */
function isOlder({ decisionSetBack }: World['past']): boolean {
  return decisionSetBack === 'older' || decisionSetBack === 'both'
}

function isAppliedAsCalled({ owner, branches, order, past }: World): boolean {
  // What its database has lost again was not called done too early.
  if (past.voterSetBack === 'yes') return true
  if (owner.status === 'crashed' || owner.machine.state.ends['P'] !== 'done') return true
  const { decision, votes } = owner.machine.state
  if (decision === 'commit') return isDurablyCommitted(branches.P)
  // A vote that was never answered may be executed yet, and a rollback by somebody else that we
  // found done may not be durable yet: then the next scan finds the branch, and rolls it back.
  const isKnown = votes['P'] === 'yes' || votes['P'] === 'no'
  return !isKnown || order === 'visible-first' || branches.P !== 'prepared'
}

interface Settled {
  readonly finishes: boolean
  readonly forgets: boolean
  readonly reports: boolean
}

/**
 * What would become of the branches if everybody stopped now, every connection were noticed to be
 * closed, and one recoverer, one cleaner and one witness then came along whom nothing disturbs.
 */
export class Settle {
  readonly #known = new Map<string, Settled>()

  of(world: World, machines: Machines): Settled {
    const { branches, epoch, server, past } = world
    const key =
      `${branches.D},${branches.P},${epoch},${server},` +
      `${past.decisionSetBack},${past.voterSetBack},${past.failedOver}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const settled = settles(world, machines)
    this.#known.set(key, settled)
    return settled
  }
}

function settles(world: World, machines: Machines): Settled {
  const still = leftAlone(world, machines)
  const { branches } = still
  const { decisionSetBack, voterSetBack } = world.past
  if (branches.P === 'prepared') recover(still, machines)
  const finishes = isFinished(world, still)
  const isLost = ['lost', 'both'].includes(decisionSetBack) && branches.P === 'committed'
  const reports = !isLost || look({ ...still }, machines) === 'lost-decision'
  const isOver = isDurablyCommitted(branches.D) && showsMark(branches.D)
  if (!isOver || decisionSetBack !== 'no' || voterSetBack === 'yes') {
    return { finishes, reports, forgets: true }
  }
  const due = still.epoch === 'listed' ? 'settled' : 'forgotten'
  const verdict = forget(still, machines)
  return { finishes, reports, forgets: verdict === (branches.P === 'lost' ? 'lost-vote' : due) }
}

function isFinished({ branches, past, epoch }: World, still: Still): boolean {
  const { D, P } = still.branches
  const isSetBack = past.decisionSetBack !== 'no' || past.voterSetBack === 'yes'
  if (P === 'prepared') {
    const isHeld = still.memory === 'forgotten' && !showsMark(D)
    // Held for a reason: its decision was lost or it came back too late; or nothing was decided, and
    // the memory was given up.
    const isGivenUp =
      epoch !== 'never opened' && (past.failedOver === 'yes' || still.epoch === 'unlisted')
    return isHeld && (isSetBack || (!isDurablyCommitted(branches.D) && isGivenUp))
  }
  if (P === 'lost' || isSetBack) return true
  return isDurablyCommitted(P) === isDurablyCommitted(D)
}
