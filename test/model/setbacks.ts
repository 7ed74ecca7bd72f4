/**
 * What no commit protocol can prevent: databases that have again what they had before.
 *
 * Owns: backups put back, fail-overs, and the loss of a branch that was promised.
 * Promises: the world remembers what a set-back took, for the promises alone; no party reads it.
 */
import { isDurablyCommitted } from './database.ts'
import type { BranchWord } from './database.ts'
import type { Moves } from './explore.ts'
import type { Machines } from './rules.ts'
import { disconnect, restart } from './servers.ts'
import { isDecided, spend, withBranch, withEpoch, withPast } from './world.ts'
import type { Past, World } from './world.ts'

export function setbackMoves(world: World, machines: Machines, moves: Moves<World>): void {
  deciderMoves(world, machines, moves)
  failoverMoves(world, machines, moves)
  const loss = spend(world, 'losses')
  if (loss === undefined) return
  const { P } = world.branches
  if (P === 'prepared') {
    const without = disconnect(withBranch(loss, 'P', 'lost'), machines, 'P')
    moves.fault('P loses its prepared branch', without)
  }
  const back = withPast(loss, { voterSetBack: 'yes' })
  if (P === 'committed' || P === 'deleted') {
    const prepared = disconnect(withBranch(back, 'P', 'prepared'), machines, 'P')
    moves.fault('P is set back: its branch is prepared again', prepared)
  }
  if (P === 'deleted') {
    const committed = disconnect(withBranch(back, 'P', 'committed'), machines, 'P')
    moves.fault('P is set back: its receipt is there again', committed)
  }
}

/** A restore can't be noticed, so the list is emptied before anybody can reach the database. */
function deciderMoves(world: World, machines: Machines, moves: Moves<World>): void {
  const set = spend(world, 'setbacks')
  if (set === undefined) return
  for (const [row, change] of earlier(world)) {
    const back = withEpoch(withBranch(withPast(set, change), 'D', row), 'unlisted')
    moves.fault(`D is set back to a backup: ${row}`, disconnect(back, machines, 'D'))
  }
}

function failoverMoves(world: World, machines: Machines, moves: Moves<World>): void {
  const spent = spend(world, 'failovers')
  if (spent === undefined || world.server !== 'first') return
  const { branches, sessions, left } = world
  const promoted: World = { ...spent, server: 'second' }
  if (branches.D === 'open' && sessions.D.link === 'up' && sessions.D.requests.length === 0) {
    // The owner has read the epoch on the first server, and works on the second.
    moves.fault('D had failed over before the work', promoted)
  }
  const over = withPast(promoted, { failedOver: 'yes' })
  moves.fault('D fails over and loses nothing', restart(over, machines, 'D'))
  if (world.failover === 'lossless' || left.failovers === 0) return
  for (const [row, change] of earlier(world)) {
    const without = withEpoch(withBranch(withPast(over, change), 'D', row), 'listed')
    moves.fault(
      `D fails over and loses what came after: ${row}`,
      disconnect(without, machines, 'D'),
    )
  }
}

/** What the decider's row was before, and what is lost with it. */
function earlier(world: World): readonly (readonly [BranchWord, Partial<Past>])[] {
  const { D } = world.branches
  const { decisionSetBack: before } = world.past
  const isSettled = isDurablyCommitted(D) && D !== 'committed' && D !== 'committing'
  const lost: Partial<Past> =
    before === 'older'
      ? { decisionSetBack: 'both' }
      : isDecided(world)
        ? { decisionSetBack: 'lost' }
        : {}
  const gone = ['gone', lost] as const
  return isSettled ? [gone, ['committed', { decisionSetBack: 'older' }]] : [gone]
}
