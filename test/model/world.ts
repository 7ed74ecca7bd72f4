/**
 * The model's world: two databases, an owner with a connection to each, and everybody who asks.
 *
 * Owns: what a world consists of, how it begins, and its key.
 * Promises: a world is never changed, only followed by another one; its key has everything that
 * decides what can follow, and nothing else.
 */
import { twoPhase } from '../../src/protocol/index.ts'
import type { Bounds } from './bounds.ts'
import type { BranchWord, Order, Site } from './database.ts'
import { isDurablyCommitted } from './database.ts'
import { PLAN } from './rules.ts'
import type { Machines, OwnerNode, RecoveryNode } from './rules.ts'

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
  | `${Site}:${'sent' | 'holding' | 'reading'}`
  | 'commit'
  | 'commit+'
  | 'rollback'
  | 'rollback+'

/** In this order in every world. */
export const CLIENTS = [
  'the owner’s ask',
  'the owner’s other connection',
  'the owner’s recovery',
  'the caller',
  'recoverer 1',
  'recoverer 2',
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
  readonly branches: Readonly<Record<Site, BranchWord>>
  readonly sessions: Readonly<Record<Site, Session>>
  readonly epoch: 'listed' | 'unlisted'
  readonly owner: Owner
  readonly clients: Readonly<Record<ClientName, Client>>
  /** How many of the bounded events may still come. */
  readonly left: Left
  /** What was true once, for the promises. No party reads it. */
  readonly past: Past
}

export type Left = Pick<Bounds, 'breaks' | 'restarts' | 'refusals' | 'setbacks' | 'losses'>

export interface Past {
  /** The decider was set back after its COMMIT was durable. */
  readonly decidedThenSetBack: 'no' | 'yes'
  /** Conclusive answers that anybody drew from the register. */
  readonly concluded: 'nothing' | 'commit' | 'abort' | 'both'
  readonly alarm: 'no' | 'yes'
  /** COMMIT ran in the decider without the claim in it. */
  readonly unclaimed: 'no' | 'yes'
}

const IDLE: Client = { doing: 'idle', rounds: 0, machine: 'none' }
const CONNECTED: Session = { link: 'up', requests: [], replies: [] }

/** The user's work is done in both branches; `start` has not reached the owner's machine yet. */
export function initialWorld(bounds: Bounds, machines: Machines): World {
  const recoverer = (number: number): Client => ({
    ...IDLE,
    rounds: number <= bounds.recoverers ? bounds.rounds : 0,
  })
  const { breaks, restarts, refusals, setbacks, losses } = bounds
  return {
    order: bounds.order,
    branches: { D: 'open', P: 'open' },
    sessions: { D: CONNECTED, P: CONNECTED },
    epoch: 'listed',
    owner: {
      status: 'runs',
      machine: machines.owner.node(twoPhase.begin(PLAN, bounds.resolveWhen)),
    },
    clients: {
      'the owner’s ask': IDLE,
      'the owner’s other connection': IDLE,
      'the owner’s recovery': IDLE,
      'the caller': { ...IDLE, rounds: bounds.outcomes },
      'recoverer 1': recoverer(1),
      'recoverer 2': recoverer(2),
    },
    left: { breaks, restarts, refusals, setbacks, losses },
    past: { decidedThenSetBack: 'no', concluded: 'nothing', alarm: 'no', unclaimed: 'no' },
  }
}

export function keyOf(world: World): string {
  const { branches, sessions, owner, clients, left, past } = world
  const [one, two] = [clientKey(clients['recoverer 1']), clientKey(clients['recoverer 2'])] as const
  return [
    branches.D,
    branches.P,
    world.epoch,
    sessionKey(sessions.D),
    sessionKey(sessions.P),
    owner.status === 'runs' ? owner.machine.id : owner.told,
    clientKey(clients['the owner’s ask']),
    clientKey(clients['the owner’s other connection']),
    clientKey(clients['the owner’s recovery']),
    clientKey(clients['the caller']),
    // The two recoverers are alike: who of them is where makes no difference.
    one < two ? `${one} ${two}` : `${two} ${one}`,
    `${left.breaks}${left.restarts}${left.refusals}${left.setbacks}${left.losses}`,
    `${past.decidedThenSetBack}${past.concluded}${past.alarm}${past.unclaimed}`,
  ].join()
}

function sessionKey({ link, requests, replies }: Session): string {
  return `${link}:${requests.join('>')}<${replies.join('<')}`
}

function clientKey({ doing, rounds, machine }: Client): string {
  return `${doing}/${rounds}/${machine === 'none' ? '' : machine.id}`
}

/** Whether COMMIT was ever durable in the decider. */
export function isDecided(world: World): boolean {
  return world.past.decidedThenSetBack === 'yes' || isDurablyCommitted(world.branches.D)
}

export function toldOf(owner: Owner): twoPhase.TwoPhaseState['told'] {
  return owner.status === 'runs' ? owner.machine.state.told : owner.told
}

export function withBranch(world: World, site: Site, branch: BranchWord): World {
  if (world.branches[site] === branch) return world
  return { ...world, branches: { ...world.branches, [site]: branch } }
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
