/**
 * The model's world: two databases, an owner with a connection to each, everybody who asks, and
 * everybody who cleans.
 *
 * Owns: what a world consists of, how it begins, and its key.
 * Promises: a world is never changed, only followed by another one; its key has everything that
 * decides what can follow, and nothing else.
 */
import { twoPhase } from '../../src/protocol/index.ts'
import type { Bounds } from './bounds.ts'
import type { BranchWord, Order, Site } from './database.ts'
import { beginCommit, isDurablyCommitted } from './database.ts'
import type { EpochWord } from './epochs.ts'
import type { Change } from './forgetting.ts'
import { PLAN } from './rules.ts'
import type { ForgettingNode, Machines, OwnerNode, RecoveryNode, WitnessNode } from './rules.ts'

export const SITES = ['D', 'P'] as const

/** A message of the owner to a branch; with `+` once the server has begun to make it durable. */
export type Request =
  | 'claim'
  | 'vote'
  | 'vote+'
  | 'decide'
  | 'decide+'
  | 'apply'
  | 'apply+'
  | 'undo'
  | 'undo+'
  | 'rollback'

/** The owner's connection to one branch. */
export interface Session {
  /**
   * `cut`: the client has lost it and the server does not know yet, so what was delivered may still
   * be executed. `closed`: the server has ended the session.
   */
  readonly link: 'up' | 'cut' | 'closed'
  readonly requests: readonly Request[]
  /** Answers on their way back, as `<message> <answer>`. */
  readonly replies: readonly string[]
}

/** What somebody does on a connection of his own. */
export type Doing =
  | 'idle'
  /** *Ask*. `knowing` and `doubting`: it has read the memory first, as it never should. */
  | `${Site}:${'sent' | 'knowing' | 'doubting' | 'holding' | 'reading'}`
  /** A plain reading of the row; what was seen is not known to be durable yet. */
  | `${Site}:read`
  | Saw
  | Change
  | `${Change}+`
  | 'commit'
  | 'commit+'
  | 'rollback'
  | 'rollback+'

export type Saw = `D:saw ${'commit' | 'settled'} ${'listed' | 'unlisted'}` | 'P:saw commit'

export type Cleaner = 'cleaner 1' | 'cleaner 2'

/** In this order in every world. */
export const CLIENTS = [
  'the owner’s ask',
  'the owner’s other connection',
  'the owner’s recovery',
  'the caller',
  'recoverer 1',
  'recoverer 2',
  'cleaner 1',
  'cleaner 1’s other connection',
  'cleaner 2',
  'cleaner 2’s other connection',
  'the witness',
] as const
export type ClientName = (typeof CLIENTS)[number]

export interface Client {
  readonly doing: Doing
  /** Rounds, or questions, that it may still begin. */
  readonly rounds: number
  /** The round of recovery that it is in. */
  readonly machine: RecoveryNode | 'none'
}

export type Owner =
  | { readonly status: 'runs'; readonly machine: OwnerNode }
  | { readonly status: 'crashed'; readonly told: twoPhase.TwoPhaseState['told'] }

export interface World {
  readonly order: Order
  readonly failover: Bounds['failover']
  readonly branches: Readonly<Record<Site, BranchWord>>
  readonly sessions: Readonly<Record<Site, Session>>
  readonly epoch: EpochWord
  /** The decider's server: the one that opened the epoch, or the one that it failed over to. */
  readonly server: 'first' | 'second'
  readonly owner: Owner
  readonly clients: Readonly<Record<ClientName, Client>>
  readonly cleaners: Readonly<Record<Cleaner, ForgettingNode | 'none'>>
  readonly witness: WitnessNode | 'none'
  /** How many of the bounded events may still come. */
  readonly left: Left
  /** What was true once, for the promises. No party reads it. */
  readonly past: Past
}

export const LIMITED = [
  'breaks',
  'restarts',
  'refusals',
  'setbacks',
  'losses',
  'unlistings',
  'failovers',
] as const
export type Left = Readonly<Record<(typeof LIMITED)[number], number>>

export interface Past {
  /** The decider was set back after its COMMIT was durable: to before it, to before it was settled. */
  readonly decisionSetBack: 'no' | 'lost' | 'older' | 'both'
  /** The voter was set back after it had applied, or forgotten, its part. */
  readonly voterSetBack: 'no' | 'yes'
  /** The decider failed over with the transaction's work in it. */
  readonly failedOver: 'no' | 'yes'
  /** Conclusive answers that anybody drew from the register. */
  readonly concluded: 'nothing' | 'commit' | 'abort' | 'both'
  /** A lost vote was told. */
  readonly alarm: 'no' | 'yes'
  /** A lost decision was told. */
  readonly report: 'no' | 'yes'
  /** COMMIT ran in the decider without the claim in it. */
  readonly unclaimed: 'no' | 'yes'
}

const NOTHING_HAPPENED: Past = {
  decisionSetBack: 'no',
  voterSetBack: 'no',
  failedOver: 'no',
  concluded: 'nothing',
  alarm: 'no',
  report: 'no',
  unclaimed: 'no',
}

const IDLE: Client = { doing: 'idle', rounds: 0, machine: 'none' }
const CONNECTED: Session = { link: 'up', requests: [], replies: [] }
const CLOSED: Session = { link: 'closed', requests: [], replies: [] }

/**
 * `working`: the user's work is done in both branches; `start` has not reached the owner's machine
 * yet. `decided`: COMMIT was executed, and the owner has crashed.
 */
export function initialWorld(bounds: Bounds, machines: Machines): World {
  const upTo = (number: number, count: number, rounds: number): Client => ({
    ...IDLE,
    rounds: number <= count ? rounds : 0,
  })
  const { order, failover, breaks, restarts, refusals, setbacks, losses } = bounds
  const { unlistings, failovers } = bounds
  const world: World = {
    order,
    failover,
    branches: { D: 'open', P: 'open' },
    sessions: { D: CONNECTED, P: CONNECTED },
    epoch: bounds.order === 'visible-first' ? 'appearing' : 'listed',
    server: 'first',
    owner: {
      status: 'runs',
      machine: machines.owner.node(twoPhase.begin(PLAN, bounds.resolveWhen)),
    },
    clients: {
      'the owner’s ask': IDLE,
      'the owner’s other connection': IDLE,
      'the owner’s recovery': IDLE,
      'the caller': { ...IDLE, rounds: bounds.outcomes },
      'recoverer 1': upTo(1, bounds.recoverers, bounds.rounds),
      'recoverer 2': upTo(2, bounds.recoverers, bounds.rounds),
      'cleaner 1': upTo(1, bounds.cleaners, bounds.cleanings),
      'cleaner 1’s other connection': IDLE,
      'cleaner 2': upTo(2, bounds.cleaners, bounds.cleanings),
      'cleaner 2’s other connection': IDLE,
      'the witness': upTo(1, bounds.witnesses, 1),
    },
    cleaners: { 'cleaner 1': 'none', 'cleaner 2': 'none' },
    witness: 'none',
    left: { breaks, restarts, refusals, setbacks, losses, unlistings, failovers },
    past: NOTHING_HAPPENED,
  }
  if (bounds.begins === 'working') return world
  return {
    ...world,
    branches: { D: beginCommit(order), P: 'prepared' },
    sessions: { D: CLOSED, P: CLOSED },
    epoch: 'listed',
    owner: { status: 'crashed', told: 'nothing' },
  }
}

/** A number for each word, so that a key is short: a search keeps millions of them. */
const numbers = new Map<string, number>()
/** Numbers of words, and of machines; beyond them, in the same two bytes, what is neither. */
const MOST_NUMBERS = 0x7fff
const NONE = 0xffff

function numberOf(word: string): number {
  const known = numbers.get(word)
  if (known !== undefined) return known
  const number = inTwoBytes(numbers.size)
  numbers.set(word, number)
  return number
}

function idOf(machine: { readonly id: number } | 'none'): number {
  return machine === 'none' ? NONE : inTwoBytes(machine.id)
}

function inTwoBytes(number: number): number {
  if (number > MOST_NUMBERS) throw new Error(`${number} is too much for a part of a key`)
  return number
}

export function keyOf(world: World): string {
  const { branches, sessions, owner, clients, left, past } = world
  const one = clientKey(clients['recoverer 1'])
  const two = clientKey(clients['recoverer 2'])
  const first = cleanerKey(world, 'cleaner 1')
  const second = cleanerKey(world, 'cleaner 2')
  const rest = String.fromCharCode(
    numberOf(branches.D),
    numberOf(branches.P),
    numberOf(world.epoch),
    numberOf(world.server),
    owner.status === 'runs' ? idOf(owner.machine) : MOST_NUMBERS + 1 + numberOf(owner.told),
    idOf(world.witness),
    left.breaks,
    left.restarts,
    left.refusals,
    left.setbacks,
    left.losses,
    left.unlistings,
    left.failovers,
    numberOf(past.decisionSetBack),
    numberOf(past.voterSetBack),
    numberOf(past.failedOver),
    numberOf(past.concluded),
    numberOf(past.alarm),
    numberOf(past.report),
    numberOf(past.unclaimed),
  )
  return [
    rest,
    sessionKey(sessions.D),
    sessionKey(sessions.P),
    clientKey(clients['the owner’s ask']),
    clientKey(clients['the owner’s other connection']),
    clientKey(clients['the owner’s recovery']),
    clientKey(clients['the caller']),
    // The two recoverers are alike: who of them is where makes no difference. So are the cleaners.
    one < two ? one + two : two + one,
    first < second ? first + second : second + first,
    clientKey(clients['the witness']),
  ].join('')
}

/** Its two connections are alike as well. */
function cleanerKey({ clients, cleaners }: World, name: Cleaner): string {
  const { doing, rounds } = clients[name]
  const [one, other] = [numberOf(doing), numberOf(clients[`${name}’s other connection`].doing)]
  return String.fromCharCode(
    Math.min(one, other),
    Math.max(one, other),
    rounds,
    idOf(cleaners[name]),
  )
}

function sessionKey({ link, requests, replies }: Session): string {
  return String.fromCharCode(numberOf(link), listNumber(requests), listNumber(replies))
}

function listNumber(words: readonly string[]): number {
  return words.length === 0 ? NONE : numberOf(words.join())
}

function clientKey({ doing, rounds, machine }: Client): string {
  return String.fromCharCode(numberOf(doing), rounds, idOf(machine))
}

/** Whether COMMIT was ever durable in the decider. */
export function isDecided(world: World): boolean {
  return world.past.decisionSetBack !== 'no' || isDurablyCommitted(world.branches.D)
}

export function toldOf(owner: Owner): twoPhase.TwoPhaseState['told'] {
  return owner.status === 'runs' ? owner.machine.state.told : owner.told
}

export function withBranch(world: World, site: Site, branch: BranchWord): World {
  if (world.branches[site] === branch) return world
  return { ...world, branches: { ...world.branches, [site]: branch } }
}

export function withEpoch(world: World, epoch: EpochWord): World {
  return world.epoch === epoch ? world : { ...world, epoch }
}

export function withSession(world: World, site: Site, session: Session): World {
  return { ...world, sessions: { ...world.sessions, [site]: session } }
}

export function withClient(world: World, name: ClientName, change: Partial<Client>): World {
  const client = { ...world.clients[name], ...change }
  return { ...world, clients: { ...world.clients, [name]: client } }
}

export function withPast(world: World, change: Partial<Past>): World {
  return { ...world, past: { ...world.past, ...change } }
}

/** Takes one of a bounded kind of event; undefined when none is left. */
export function spend(world: World, what: keyof Left): World | undefined {
  if (world.left[what] === 0) return undefined
  return { ...world, left: { ...world.left, [what]: world.left[what] - 1 } }
}

/** Somebody drew a conclusion from the register. */
export function concluded(world: World, conclusion: 'commit' | 'abort'): World {
  const { concluded: before } = world.past
  const after: Past['concluded'] =
    before === 'nothing' || before === conclusion ? conclusion : 'both'
  return before === after ? world : withPast(world, { concluded: after })
}
