/**
 * What a database does for whoever reads, settles or deletes a row of it.
 *
 * Owns: the plain reading with a COMMIT of its own behind it, and the UPDATE and DELETE of forgetting.
 * Promises: an UPDATE or a DELETE waits for whoever has the row's lock; a plain reading waits for
 * nobody. Any of them may be executed and its answer lost.
 */
import { beginDelete, beginSettle, holdsKey, isListed, shownRow } from './database.ts'
import type { Site } from './database.ts'
import { isShown } from './epochs.ts'
import type { Moves } from './explore.ts'
import type { Change, SawWord } from './forgetting.ts'
import { clientFails, clientLearnsOfChange, clientLearnsOfReading } from './parties.ts'
import type { Machines } from './rules.ts'
import { flush } from './servers.ts'
import { isKeyTaken } from './sessions.ts'
import { spend, withBranch, withClient } from './world.ts'
import type { ClientName, Doing, Saw, World } from './world.ts'

/** The reading: what is seen now, and not known to be durable yet. */
export function readMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  site: Site,
  moves: Moves<World>,
): void {
  const lost = spend(world, 'breaks')
  if (lost !== undefined) {
    moves.fault(`${name} loses the connection to ${site}`, clientFails(lost, machines, name))
  }
  const row = seenBy(world, machines, site)
  if (row === 'nothing') {
    // Nothing follows from it, so it need not be durable.
    const learnt = clientLearnsOfReading(world, machines, name, site, 'nothing')
    moves.progress(`${name} does not see the row in ${site}`, learnt)
    return
  }
  if (site === 'P' && machines.rules.receipts === 'not listed') {
    const learnt = clientLearnsOfReading(world, machines, name, site, 'commit listed')
    moves.progress(`${name} finds no branch in the list of P`, learnt)
    return
  }
  const listed = isShown(world.epoch) ? 'listed' : 'unlisted'
  const saw: Saw = site === 'D' ? `D:saw ${row} ${listed}` : 'P:saw commit'
  const what = site === 'D' ? `${row}, ${listed}` : row
  moves.progress(
    `${name} sees the row in ${site}: ${what}`,
    withClient(world, name, { doing: saw }),
  )
}

function seenBy(world: World, { rules }: Machines, site: Site): ReturnType<typeof shownRow> {
  const branch = world.branches[site]
  if (site === 'P' && rules.receipts === 'not listed')
    return isListed(branch) ? 'nothing' : 'commit'
  return shownRow(branch)
}

/** Its own COMMIT, behind a small write of its own. */
export function sawMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  doing: Saw,
  moves: Moves<World>,
): void {
  const site = doing.startsWith('D') ? 'D' : 'P'
  const saw = (doing === 'P:saw commit' ? 'commit listed' : doing.slice('D:saw '.length)) as SawWord
  moves.fault(`${site} ends the idle transaction of ${name}`, clientFails(world, machines, name))
  const learnt = (from: World): World =>
    clientLearnsOfReading(flush(from, machines, site), machines, name, site, saw)
  const what = site === 'D' ? saw : 'commit'
  moves.progress(`${name} has its COMMIT answered by ${site}: ${what}`, learnt(world))
}

/** Settling a row, or deleting one. */
export function changeMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  change: Change,
  moves: Moves<World>,
): void {
  const site = change.startsWith('D') ? 'D' : 'P'
  const lost = spend(world, 'breaks')
  if (lost !== undefined) {
    moves.fault(`${name} loses the connection to ${site}`, clientFails(lost, machines, name))
  }
  const branch = world.branches[site]
  const row = shownRow(branch)
  if (row === 'nothing') {
    nothingToChange(world, machines, name, change, moves)
    return
  }
  if (holdsKey(branch) || isKeyTaken(world, site)) return
  const begun =
    change === 'D:settle' ? beginSettle(branch, world.order) : beginDelete(branch, world.order)
  const label = `${site} executes the ${change === 'D:settle' ? 'UPDATE' : 'DELETE'} of ${name}`
  const changed = withBranch(world, site, begun)
  if (begun === branch) {
    // Settled already. Its write is behind the first one in the log.
    const done = clientLearnsOfChange(flush(world, machines, site), machines, name, 'done')
    moves.progress(`${label}: already ${begun}`, done)
    return
  }
  const doing: Doing = `${change}+`
  moves.progress(`${label}: ${begun}`, withClient(changed, name, { doing }))
  if (lost === undefined) return
  const unanswered = clientFails({ ...changed, left: lost.left }, machines, name)
  moves.fault(`${label}: ${begun}, the answer is lost`, unanswered)
}

/**
 * A row that is gone can't be settled. It need not be deleted either, but somebody's deletion may
 * only be visible: what makes it durable is a COMMIT behind a write of our own.
 */
function nothingToChange(
  world: World,
  machines: Machines,
  name: ClientName,
  change: Change,
  moves: Moves<World>,
): void {
  if (change === 'D:settle') {
    const gone = clientLearnsOfChange(world, machines, name, 'unknown')
    moves.progress(`${name} finds no row to settle`, gone)
    return
  }
  const site = change.startsWith('D') ? 'D' : 'P'
  const after = machines.rules.deletions === 'always write' ? flush(world, machines, site) : world
  const done = clientLearnsOfChange(after, machines, name, 'done')
  moves.progress(`${name} finds no row to delete in ${site}`, done)
}
