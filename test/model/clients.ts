/**
 * What a database does for everybody who has a connection of his own: recoverers, askers.
 *
 * Owns: *Ask* in its steps, and COMMIT PREPARED and ROLLBACK PREPARED from elsewhere.
 * Promises: what a client does with an answer is joined to the answer. Nobody can see the time
 * between, and his next message can still take as long as it likes.
 */
import { endPrepared, holdsKey, isListed, showsMark } from './database.ts'
import type { EndWord, Site } from './database.ts'
import type { Moves } from './explore.ts'
import { beginRound, clientLearnsOfEnd, clientLearnsOfMark } from './parties.ts'
import type { Machines } from './rules.ts'
import { finish } from './servers.ts'
import { isKeyTaken } from './sessions.ts'
import { spend, toldOf, withBranch, withClient } from './world.ts'
import type { ClientName, World } from './world.ts'

export function clientMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  moves: Moves<World>,
): void {
  const { doing, rounds } = world.clients[name]
  switch (doing) {
    case 'idle':
      if (rounds > 0) moves.progress(`${name} begins`, beginClient(world, machines, name))
      return
    case 'D:sent':
    case 'P:sent':
      askMoves(world, machines, name, doing === 'D:sent' ? 'D' : 'P', moves)
      return
    case 'D:holding':
    case 'P:holding':
    case 'D:reading':
    case 'P:reading':
      askedMoves(world, machines, name, doing, moves)
      return
    case 'commit':
    case 'rollback':
      endMoves(world, machines, name, doing, moves)
      return
    case 'commit+':
    case 'rollback+':
      return
  }
}

/** A recoverer begins when the voter's list has a branch; the caller once it was told something. */
function beginClient(world: World, machines: Machines, name: ClientName): World | undefined {
  const { rounds } = world.clients[name]
  const begun = withClient(world, name, { rounds: rounds - 1 })
  if (name === 'the caller') {
    return toldOf(world.owner) === 'nothing'
      ? undefined
      : withClient(begun, name, { doing: 'D:sent' })
  }
  return isListed(world.branches.P) ? beginRound(begun, machines, name) : undefined
}

function askMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  site: Site,
  moves: Moves<World>,
): void {
  const branch = world.branches[site]
  const lostWorld = spend(world, 'breaks')
  if (lostWorld !== undefined) {
    moves.fault(
      `${name} loses the connection to ${site}`,
      clientLearnsOfMark(lostWorld, machines, name, 'unknown'),
    )
  }
  if (holdsKey(branch) || isKeyTaken(world, site)) {
    const waits = clientLearnsOfMark(world, machines, name, 'waits')
    moves.progress(`${name} asks ${site}: somebody has the key`, waits)
  } else if (!showsMark(branch)) {
    const holding = withClient(world, name, { doing: `${site}:holding` })
    moves.progress(`${name} inserts its own row in ${site}`, holding)
  } else if (machines.rules.obeys === 'seen') {
    const found = clientLearnsOfMark(world, machines, name, 'found')
    moves.progress(`${name} sees the row in ${site} and does not commit`, found)
  } else {
    const reading = withClient(world, name, { doing: `${site}:reading` })
    moves.progress(`${name} reads the row in ${site}`, reading)
  }
}

type Asking = 'D:holding' | 'P:holding' | 'D:reading' | 'P:reading'

function askedMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  doing: Asking,
  moves: Moves<World>,
): void {
  const site = doing.startsWith('D') ? 'D' : 'P'
  const unknown = (from: World): World => clientLearnsOfMark(from, machines, name, 'unknown')
  moves.fault(`${site} ends the idle transaction of ${name}`, unknown(world))
  if (doing.endsWith('holding')) {
    const memory = world.epoch === 'listed' ? 'absent' : 'forgotten'
    const absent = clientLearnsOfMark(world, machines, name, memory)
    moves.progress(`${name} is told by ${site}: ${memory}, and rolls back`, absent)
    return
  }
  // Its own write is behind the mark in the log: when the one is flushed, so is the other.
  const flushed = finish(world, machines, site) ?? world
  const found = clientLearnsOfMark(flushed, machines, name, 'found')
  moves.progress(`${name} has its COMMIT answered by ${site}: found`, found)
  const spent = spend(flushed, 'breaks')
  if (spent !== undefined)
    moves.fault(`${site} executes the COMMIT of ${name}, the answer is lost`, unknown(spent))
}

function endMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  how: 'commit' | 'rollback',
  moves: Moves<World>,
): void {
  const learn = (from: World, word: EndWord): World => clientLearnsOfEnd(from, machines, name, word)
  const spent = spend(world, 'breaks')
  if (spent !== undefined) moves.fault(`${name} loses the connection to P`, learn(spent, 'unknown'))
  const ending = endPrepared(world.branches.P, how, world.order)
  if (ending.kind === 'waits') return
  const changed = withBranch(world, 'P', ending.branch)
  const label = `P executes ${how.toUpperCase()} PREPARED of ${name}: ${ending.branch}`
  if (ending.kind === 'begun') {
    moves.progress(label, withClient(changed, name, { doing: `${how}+` }))
    if (spent === undefined) return
    const without = { ...changed, left: spent.left }
    moves.fault(`${label}, the answer is lost`, learn(without, 'unknown'))
    return
  }
  moves.progress(label, learn(changed, ending.answer))
  if (spent === undefined || ending.answer === 'unknown') return
  moves.fault(`${label}, the answer is lost`, learn({ ...changed, left: spent.left }, 'unknown'))
}
