/**
 * What must be true, whatever happens.
 *
 * Owns: the promises, each with its name, and the question whether recovery could finish from here.
 * Promises: all are asked of every world. The one that asks what would happen if everybody stopped
 * now makes the search for what can't be finished as wide as the search for what is wrong.
 */
import { recovery, twoPhase } from '../../src/protocol/index.ts'
import type { RecoveryMessage } from '../../src/protocol/index.ts'
import type { Bounds } from './bounds.ts'
import { afterSession, finished, holdsKey, isDurablyCommitted, showsMark } from './database.ts'
import type { BranchWord, Site } from './database.ts'
import { askAnswerOf } from './parties.ts'
import type { AskWord } from './parties.ts'
import type { Machines } from './rules.ts'
import { isDecided, toldOf } from './world.ts'
import type { World } from './world.ts'

export const PROMISES = {
  atomic: 'all branches commit or none does',
  obedient: 'COMMIT PREPARED only follows a durable decision',
  told: 'what the caller is told is true, and stays true',
  agreed: 'whoever draws a conclusion from the register draws the same, true one',
  applied: 'a branch whose end is called done has ended, durably',
  'no false alarm': 'a lost vote is only reported when a vote was lost',
  claimed: 'COMMIT never runs without the claim',
  patient: 'while the caller waits, nothing is told before every branch has ended',
  'can finish': 'one fair round of recovery would leave nothing prepared',
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
  { owner, epoch, left }: World,
  bounds: Bounds,
  asked: ReadonlySet<PromiseName>,
): PromiseName | undefined {
  if (owner.status === 'crashed') return undefined
  const { state } = owner.machine
  const events = ['breaks', 'restarts', 'refusals', 'setbacks', 'losses'] as const
  const wasLeftAlone = state.waiting === 'on' && events.every((name) => left[name] === bounds[name])
  if (asked.has('useful') && wasLeftAlone && state.told !== 'committed') return 'useful'
  // A branch that its register holds has no end to wait for, so the caller's time decides.
  const mayWait = epoch === 'unlisted' && state.waiting === 'on' && state.decision === 'commit'
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
  'no false alarm': (world) => world.past.alarm === 'no' || world.branches.P === 'lost',
  patient: ({ owner }) => {
    if (owner.status === 'crashed') return true
    const { told, waiting, resolveWhen, ends } = owner.machine.state
    if (told === 'nothing' || waiting === 'over' || resolveWhen === 'decided') return true
    return Object.values(ends).every((end) => ['done', 'lost', 'handed over'].includes(end))
  },
  obedient: (world) => {
    const { P } = world.branches
    return isDecided(world) || !(showsMark(P) || isDurablyCommitted(P))
  },
  'can finish': (world, machines, settle) => settle.isSettled(world, machines),
}
const CHECKS = Object.entries(WORLD_CHECKS) as readonly (readonly [PromiseName, Check])[]

function isAppliedAsCalled({ owner, branches, order }: World): boolean {
  if (owner.status === 'crashed' || owner.machine.state.ends['P'] !== 'done') return true
  const { decision, votes } = owner.machine.state
  if (decision === 'commit') return isDurablyCommitted(branches.P)
  // A vote that was never answered may be executed yet, and a rollback by somebody else that we
  // found done may not be durable yet: then the next scan finds the branch, and rolls it back.
  const isKnown = votes['P'] === 'yes' || votes['P'] === 'no'
  return !isKnown || order === 'visible-first' || branches.P !== 'prepared'
}

/**
 * What would become of the branches if everybody stopped now, every connection were noticed to be
 * closed, and one recoverer then came along whom nothing disturbs.
 */
export class Settle {
  readonly #known = new Map<string, boolean>()

  isSettled(world: World, machines: Machines): boolean {
    const { branches, epoch } = world
    const key = `${branches.D} ${branches.P} ${epoch} ${world.past.decidedThenSetBack}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const settled = settles(world, machines)
    this.#known.set(key, settled)
    return settled
  }
}

function settles(world: World, machines: Machines): boolean {
  const branches = { D: leftAlone(world.branches.D), P: leftAlone(world.branches.P) }
  const isHeld = world.epoch === 'unlisted' && branches.D === 'gone'
  if (branches.P === 'prepared') recover(branches, world.epoch, machines)
  if (branches.P === 'prepared') return isHeld
  if (branches.P === 'lost' || world.past.decidedThenSetBack === 'yes') return true
  return (branches.P === 'committed') === (branches.D === 'committed')
}

function leftAlone(branch: BranchWord): BranchWord {
  const alone = afterSession(branch)
  return finished(alone) ?? alone
}

/** Recovery with nobody and nothing in its way; changes `branches` as it goes. */
function recover(
  branches: Record<Site, BranchWord>,
  epoch: World['epoch'],
  machines: Machines,
): void {
  const { recoveryStep } = machines.rules
  let { state, effects } = recoveryStep(recovery.LISTED, { type: 'start' })
  for (let message = effects[0]; message !== undefined && state.verdict === 'open';) {
    ;({ state, effects } = recoveryStep(state, answer(message, branches, epoch)))
    message = effects[0]
  }
}

function answer(
  message: RecoveryMessage,
  branches: Record<Site, BranchWord>,
  epoch: World['epoch'],
): recovery.RecoveryEvent {
  switch (message) {
    case 'ask-register':
    case 'ask-register-again':
      return { type: 'register-asked', answer: askAnswerOf(markOf(branches.D, epoch)) }
    case 'ask-receipt':
      return { type: 'receipt-asked', answer: askAnswerOf(markOf(branches.P, epoch)) }
    case 'commit-prepared':
    case 'rollback-prepared': {
      const wasPrepared = branches.P === 'prepared'
      if (wasPrepared) branches.P = message === 'commit-prepared' ? 'committed' : 'gone'
      return { type: 'ended', answer: { answer: wasPrepared ? 'done' : 'missing' } }
    }
    case 'alarm-lost-vote':
      return { type: 'start' }
  }
}

function markOf(branch: BranchWord, epoch: World['epoch']): AskWord {
  if (showsMark(branch)) return 'found'
  if (holdsKey(branch)) return 'waits'
  return epoch === 'listed' ? 'absent' : 'forgotten'
}
