/**
 * What a database server does by itself, and what befalls it.
 *
 * Owns: the second half of whatever is made durable, the end of an epoch's listing, and kills.
 * Promises: one flush takes the whole log, so what was written later is never durable first.
 */
import { afterCrash, finished } from './database.ts'
import type { Site } from './database.ts'
import { beginUnlisting, epochAfterCrash, wholeEpoch } from './epochs.ts'
import type { Moves } from './explore.ts'
import {
  clientFails,
  clientLearnsOfChange,
  clientLearnsOfEnd,
  isEnding,
  siteOf,
} from './parties.ts'
import type { Machines } from './rules.ts'
import { cut, reply } from './sessions.ts'
import { CLIENTS, spend, withBranch, withEpoch, withSession } from './world.ts'
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
  const epoch = wholeEpoch(world.epoch)
  if (site === 'D' && epoch !== world.epoch) {
    const whole = flush(withEpoch(world, epoch), machines, site)
    moves.progress(`D makes the epoch ${epoch}`, whole)
  }
  const unlisting = spend(world, 'unlistings')
  if (unlisting !== undefined && site === 'D' && world.epoch === 'listed') {
    const begun = beginUnlisting(world.order)
    moves.fault(`somebody unlists the epoch: ${begun}`, withEpoch(unlisting, begun))
  }
  const spent = spend(world, 'restarts')
  if (spent !== undefined) {
    moves.fault(`${site} is killed and starts again`, restart(spent, machines, site))
  }
}

/** The second half of what was begun in a branch, and the answer to whoever waits for it. */
function finish(before: World, machines: Machines, site: Site): World | undefined {
  const branch = finished(before.branches[site])
  if (branch === undefined) return undefined
  const isFlush = before.order === 'visible-first' && site === 'D'
  const world = isFlush ? withEpoch(before, wholeEpoch(before.epoch)) : before
  const whole = withBranch(world, site, branch)
  const [request] = whole.sessions[site].requests
  let answered = whole
  if (request?.endsWith('+') === true) {
    const name = request.slice(0, -1)
    const word = name === 'vote' || name === 'decide' ? 'yes' : 'done'
    answered = reply(whole, site, `${name} ${word}`)
  }
  return CLIENTS.reduce((rest, name) => {
    const { doing } = rest.clients[name]
    if (!doing.endsWith('+') || siteOf(doing) !== site) return rest
    return isEnding(doing)
      ? clientLearnsOfEnd(rest, machines, name, 'done')
      : clientLearnsOfChange(rest, machines, name, 'done')
  }, answered)
}

/**
 * What an acknowledged COMMIT does to everything that was seen before it. Where it is flushed first,
 * whatever is seen is flushed already.
 */
export function flush(world: World, machines: Machines, site: Site): World {
  if (world.order === 'durable-first') return world
  const epoch = site === 'D' ? wholeEpoch(world.epoch) : world.epoch
  const listed = withEpoch(world, epoch)
  return finish(listed, machines, site) ?? listed
}

/** Sessions end, and what was not durable is gone. */
export function restart(world: World, machines: Machines, site: Site): World {
  const crashed = withBranch(world, site, afterCrash(world.branches[site], site))
  const epoch = site === 'D' ? epochAfterCrash(world.epoch) : world.epoch
  return disconnect(withEpoch(crashed, epoch), machines, site)
}

/** Every connection to a database is gone, and both ends know it. */
export function disconnect(world: World, machines: Machines, site: Site): World {
  const unknown = world.sessions[site].link === 'up' ? cut(world, site) : world
  const { replies } = (unknown ?? world).sessions[site]
  const closed = withSession(world, site, { link: 'closed', requests: [], replies })
  return CLIENTS.reduce(
    (rest, name) =>
      siteOf(world.clients[name].doing) === site ? clientFails(rest, machines, name) : rest,
    closed,
  )
}
