/**
 * What a database server does by itself, and what befalls it.
 *
 * Owns: the second half of whatever is made durable, kills, set-backs and losses.
 */
import { afterCrash, finished } from './database.ts'
import type { Site } from './database.ts'
import type { Moves } from './explore.ts'
import { clientLearnsOfEnd, clientLearnsOfMark } from './parties.ts'
import type { Machines } from './rules.ts'
import { cut, reply } from './sessions.ts'
import { CLIENTS, isDecided, spend, withBranch, withPast, withSession } from './world.ts'
import type { World } from './world.ts'

export function serverMoves(
  world: World,
  machines: Machines,
  site: Site,
  moves: Moves<World>,
): void {
  const done = finish(world, machines, site)
  if (done !== undefined) {
    moves.progress(`${site} makes it ${done.branches[site]}`, done)
  }
  const spent = spend(world, 'restarts')
  if (spent !== undefined)
    moves.fault(`${site} is killed and starts again`, restart(spent, machines, site))
}

/** The second half of a COMMIT or PREPARE, and the answer to whoever waits for it. */
export function finish(world: World, machines: Machines, site: Site): World | undefined {
  const branch = finished(world.branches[site])
  if (branch === undefined) return undefined
  const whole = withBranch(world, site, branch)
  const [request] = whole.sessions[site].requests
  if (request?.endsWith('+') === true) {
    const name = request.slice(0, -1)
    const word = name === 'vote' || name === 'decide' ? 'yes' : 'done'
    return reply(whole, site, `${name} ${word}`)
  }
  if (site === 'D') return whole
  const waiting = CLIENTS.find((name) => whole.clients[name].doing.endsWith('+'))
  return waiting === undefined ? whole : clientLearnsOfEnd(whole, machines, waiting, 'done')
}

/** Sessions end, and what was not durable is gone. */
function restart(world: World, machines: Machines, site: Site): World {
  const after = afterCrash(world.branches[site], site)
  return disconnect(withBranch(world, site, after), machines, site)
}

/** Every connection to a database is gone, and both ends know it. */
function disconnect(world: World, machines: Machines, site: Site): World {
  const unknown = world.sessions[site].link === 'up' ? cut(world, site) : world
  const { replies } = (unknown ?? world).sessions[site]
  const closed = withSession(world, site, { link: 'closed', requests: [], replies })
  return CLIENTS.reduce((rest, name) => {
    const { doing } = rest.clients[name]
    if (doing.startsWith(site)) return clientLearnsOfMark(rest, machines, name, 'unknown')
    if (site === 'P' && isEnding(doing)) return clientLearnsOfEnd(rest, machines, name, 'unknown')
    return rest
  }, closed)
}

function isEnding(doing: string): boolean {
  return doing.startsWith('commit') || doing.startsWith('rollback')
}

export function setbackMoves(world: World, machines: Machines, moves: Moves<World>): void {
  const set = spend(world, 'setbacks')
  if (set !== undefined && world.epoch === 'listed') {
    moves.fault('D takes the epoch off its list', { ...set, epoch: 'unlisted' })
    const was = withPast(set, { decidedThenSetBack: isDecided(set) ? 'yes' : 'no' })
    const back: World = { ...withBranch(was, 'D', 'gone'), epoch: 'unlisted' }
    moves.fault('D is set back to a backup', disconnect(back, machines, 'D'))
  }
  const loss = spend(world, 'losses')
  if (loss !== undefined && world.branches.P === 'prepared') {
    const without = disconnect(withBranch(loss, 'P', 'lost'), machines, 'P')
    moves.fault('P loses its prepared branch', without)
  }
}
