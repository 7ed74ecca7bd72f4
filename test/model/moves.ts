/**
 * Everything that can happen next in a world.
 *
 * Owns: the owner's own moves, and the list of everybody else's.
 * Promises: an event that is always possible is always a move; whoever makes no move is paused, or
 * stopped for ever.
 */
import { clientMoves } from './clients.ts'
import { Moves } from './explore.ts'
import type { Move } from './explore.ts'
import { ownerLearns } from './parties.ts'
import type { Machines } from './rules.ts'
import { flush, serverMoves } from './servers.ts'
import { sessionMoves } from './sessions.ts'
import { setbackMoves } from './setbacks.ts'
import { ownerEvent } from './words.ts'
import { CLIENTS, SITES, toldOf, withClient, withSession } from './world.ts'
import type { World } from './world.ts'

export function movesOf(world: World, machines: Machines): readonly Move<World>[] {
  const moves = new Moves<World>()
  ownerMoves(world, machines, moves)
  for (const site of SITES) {
    sessionMoves(world, machines, site, moves)
    serverMoves(world, machines, site, moves)
  }
  for (const name of CLIENTS) clientMoves(world, machines, name, moves)
  setbackMoves(world, machines, moves)
  return moves.all
}

// --- the owner --------------------------------------------------------------------------------

function ownerMoves(world: World, machines: Machines, moves: Moves<World>): void {
  if (world.owner.status === 'crashed') return
  const { state } = world.owner.machine
  if (state.claim === 'unsent' && state.decision === 'open') {
    // The epoch that it names was read as *Ask* reads, so it is durable.
    const read = machines.rules.epoch === 'durable' ? flush(world, machines, 'D') : world
    moves.progress('owner begins', ownerLearns(read, machines, 'start', { type: 'start' }))
  }
  for (const site of SITES) {
    const session = world.sessions[site]
    const [reply, ...replies] = session.replies
    if (reply === undefined) continue
    const taken = withSession(world, site, { ...session, replies })
    const learnt = ownerLearns(taken, machines, `${site} ${reply}`, ownerEvent(site, reply))
    moves.progress(`owner learns from ${site}: ${reply}`, learnt)
  }
  if (state.waiting === 'on') {
    const cause = 'over'
    moves.fault(
      'the caller’s time is over',
      ownerLearns(world, machines, 'over', { type: 'over', cause }),
    )
  }
  moves.fault('owner crashes', crashOwner(world))
}

/** Its connections close, and the servers will notice at some time. */
function crashOwner(world: World): World {
  const left: World = { ...world, owner: { status: 'crashed', told: toldOf(world.owner) } }
  const without = (
    ['the owner’s ask', 'the owner’s other connection', 'the owner’s recovery'] as const
  ).reduce((rest, name) => withClient(rest, name, { doing: 'idle', machine: 'none' }), left)
  return SITES.reduce((rest, site) => {
    const { link, requests } = rest.sessions[site]
    return withSession(rest, site, { link: link === 'up' ? 'cut' : link, requests, replies: [] })
  }, without)
}
