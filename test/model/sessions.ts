/**
 * What a database does with the messages on the owner's connections.
 *
 * Owns: each statement of the commit path, its definite answers, and the loss of a connection.
 * Promises: messages of one connection are executed in order. What was delivered before a
 * connection was lost may still be executed, until the server notices.
 */
import { afterSession, beginCommit, beginPrepare, endPrepared } from './database.ts'
import type { Site } from './database.ts'
import { mayClaim } from './epochs.ts'
import type { Moves } from './explore.ts'
import { lost } from './parties.ts'
import type { Machines } from './rules.ts'
import { CLIENTS, spend, withBranch, withPast, withSession } from './world.ts'
import type { Request, Session, World } from './world.ts'

export function sessionMoves(
  world: World,
  machines: Machines,
  site: Site,
  moves: Moves<World>,
): void {
  const session = world.sessions[site]
  const [request] = session.requests
  if (session.link === 'up') {
    moves.fault(`the owner’s connection to ${site} breaks`, cut(spend(world, 'breaks'), site))
  }
  if (session.link === 'cut') {
    const ended = withBranch(world, site, afterSession(world.branches[site]))
    const closed: Session = { link: 'closed', requests: [], replies: session.replies }
    moves.progress(`${site} notices the closed connection`, withSession(ended, site, closed))
  }
  if (request === undefined) return
  switch (request) {
    case 'claim':
      executeClaim(world, machines, moves)
      return
    case 'vote':
      executeVote(world, moves)
      return
    case 'decide':
      executeDecide(world, moves)
      return
    case 'apply':
      executeEnd(world, 'commit', moves)
      return
    case 'undo':
      executeEnd(world, 'rollback', moves)
      return
    case 'rollback': {
      const rolledBack = withBranch(world, site, afterSession(world.branches[site]))
      moves.progress(`${site} executes ROLLBACK`, reply(rolledBack, site, 'rollback done'))
      return
    }
    case 'vote+':
    case 'decide+':
    case 'apply+':
    case 'undo+':
      // The database's own move: see `finish`.
      return
  }
}

function executeClaim(world: World, machines: Machines, moves: Moves<World>): void {
  if (isKeyTaken(world, 'D')) return
  const refused = spend(world, 'refusals')
  if (mayClaim(world, machines)) {
    const claimed = reply(withBranch(world, 'D', 'marked'), 'D', 'claim yes')
    moves.progress('D executes the claim', claimed)
  } else {
    moves.progress('D finds no such epoch for the claim', reply(world, 'D', 'claim no'))
  }
  if (refused === undefined) return
  moves.fault('D refuses the claim', reply(withBranch(refused, 'D', 'gone'), 'D', 'claim no'))
}

function executeVote(world: World, moves: Moves<World>): void {
  if (isKeyTaken(world, 'P')) return
  const refused = spend(world, 'refusals')
  if (world.branches.P !== 'open') {
    moves.progress('P has nothing to prepare', reply(world, 'P', 'vote no'))
    return
  }
  const begun = withBranch(world, 'P', beginPrepare(world.order))
  moves.progress(`P executes PREPARE: ${begun.branches.P}`, begin(begun, 'P', 'vote+'))
  if (refused === undefined) return
  moves.fault('P refuses to prepare', reply(withBranch(refused, 'P', 'gone'), 'P', 'vote no'))
}

function executeDecide(world: World, moves: Moves<World>): void {
  const branch = world.branches.D
  if (branch === 'open') {
    const unclaimed = withPast(world, { unclaimed: 'yes' })
    moves.progress('D executes COMMIT without a claim', reply(unclaimed, 'D', 'decide yes'))
    return
  }
  if (branch !== 'marked') {
    moves.progress('D has nothing to commit', reply(world, 'D', 'decide no'))
    return
  }
  const begun = withBranch(world, 'D', beginCommit(world.order))
  moves.progress(`D executes COMMIT: ${begun.branches.D}`, begin(begun, 'D', 'decide+'))
  const refused = spend(world, 'refusals')
  if (refused === undefined) return
  moves.fault('D refuses to commit', reply(withBranch(refused, 'D', 'gone'), 'D', 'decide no'))
}

function executeEnd(world: World, how: 'commit' | 'rollback', moves: Moves<World>): void {
  const ending = endPrepared(world.branches.P, how, world.order)
  if (ending.kind === 'waits') return
  const changed = withBranch(world, 'P', ending.branch)
  const name = how === 'commit' ? 'apply' : 'undo'
  const label = `P executes the owner’s ${how.toUpperCase()} PREPARED: ${ending.branch}`
  if (ending.kind === 'begun') moves.progress(label, begin(changed, 'P', `${name}+`))
  else moves.progress(label, reply(changed, 'P', `${name} ${ending.answer}`))
}

function begin(world: World, site: Site, head: Request): World {
  const session = world.sessions[site]
  return withSession(world, site, { ...session, requests: [head, ...session.requests.slice(1)] })
}

/** The first message was executed; its answer sets out if there is still a way back. */
export function reply(world: World, site: Site, word: string): World {
  const { link, requests, replies } = world.sessions[site]
  const rest = requests.slice(1)
  const answered = link === 'up' ? [...replies, word] : replies
  return withSession(world, site, { link, requests: rest, replies: answered })
}

/** The client has lost the connection: whatever it waits for is unknown to it from now on. */
export function cut(world: World | undefined, site: Site): World | undefined {
  if (world === undefined) return undefined
  const { requests, replies } = world.sessions[site]
  const unknown = [
    ...replies.map((word) => lost((word.split(' ')[0] ?? '') as Request)),
    ...requests.map(lost),
  ]
  return withSession(world, site, { link: 'cut', requests, replies: unknown })
}

/** Whether an asker's own transaction has the mark's key. */
export function isKeyTaken(world: World, site: Site): boolean {
  return CLIENTS.some((name) => {
    const { doing } = world.clients[name]
    return doing === `${site}:holding` || doing === `${site}:reading`
  })
}
