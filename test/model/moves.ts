/**
 * Everything that can happen next in a world.
 *
 * Owns: which statements a database can execute now, what it answers, and what can go wrong.
 * Promises: an event that is always possible is always a move; whoever makes no move is paused, or
 * stopped for ever. What a recoverer does with an answer is joined to the answer: nobody can see
 * the time between, and his next message can still take as long as it likes.
 */
import {
  afterCrash,
  afterSession,
  beginCommit,
  beginPrepare,
  endPrepared,
  finished,
  holdsKey,
  isListed,
  showsMark,
} from './database.ts'
import type { EndWord, Site } from './database.ts'
import type { Move } from './explore.ts'
import { beginRound, clientLearnsOfEnd, clientLearnsOfMark } from './parties.ts'
import { lost, ownerEvent, ownerLearns } from './parties.ts'
import type { Machines } from './rules.ts'
import { CLIENTS, isDecided, spend, toldOf } from './world.ts'
import { withBranch, withClient, withPast, withSession } from './world.ts'
import type { ClientName, Request, Session, World } from './world.ts'

const SITES = ['D', 'P'] as const

/** Collects moves. */
class Moves {
  readonly all: Move<World>[] = []
  progress(label: string, world: World | undefined): void {
    if (world !== undefined) this.all.push({ label, world, kind: 'progress' })
  }
  fault(label: string, world: World | undefined): void {
    if (world !== undefined) this.all.push({ label, world, kind: 'fault' })
  }
}

export function movesOf(world: World, machines: Machines): readonly Move<World>[] {
  const moves = new Moves()
  ownerMoves(world, machines, moves)
  for (const site of SITES) {
    executionMoves(world, machines, site, moves)
    databaseMoves(world, machines, site, moves)
  }
  for (const name of CLIENTS) clientMoves(world, machines, name, moves)
  setbackMoves(world, machines, moves)
  return moves.all
}

// --- the owner --------------------------------------------------------------------------------

function ownerMoves(world: World, machines: Machines, moves: Moves): void {
  if (world.owner.status === 'crashed') return
  const { state } = world.owner.machine
  if (state.claim === 'unsent' && state.decision === 'open') {
    moves.progress('owner begins', ownerLearns(world, machines, 'start', { type: 'start' }))
  }
  for (const site of SITES) {
    const session = world.sessions[site]
    const [reply, ...replies] = session.replies
    if (reply === undefined) continue
    const taken = withSession(world, site, { ...session, replies })
    const learnt = ownerLearns(taken, machines, `${site} ${reply}`, ownerEvent(site, reply))
    moves.progress(`owner learns from ${site}: ${reply}`, learnt)
  }
  if (state.waiting === 'on' && state.told === 'nothing') {
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

// --- what the owner's sessions execute --------------------------------------------------------

function executionMoves(world: World, machines: Machines, site: Site, moves: Moves): void {
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
      executeClaim(world, moves)
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

function executeClaim(world: World, moves: Moves): void {
  if (isKeyTaken(world, 'D')) return
  const refused = spend(world, 'refusals')
  if (world.epoch === 'listed') {
    const claimed = reply(withBranch(world, 'D', 'marked'), 'D', 'claim yes')
    moves.progress('D executes the claim', claimed)
  } else {
    moves.progress('D finds no such epoch for the claim', reply(world, 'D', 'claim no'))
  }
  if (refused === undefined) return
  moves.fault('D refuses the claim', reply(withBranch(refused, 'D', 'gone'), 'D', 'claim no'))
}

function executeVote(world: World, moves: Moves): void {
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

function executeDecide(world: World, moves: Moves): void {
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

function executeEnd(world: World, how: 'commit' | 'rollback', moves: Moves): void {
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
function reply(world: World, site: Site, word: string): World {
  const { link, requests, replies } = world.sessions[site]
  const rest = requests.slice(1)
  const answered = link === 'up' ? [...replies, word] : replies
  return withSession(world, site, { link, requests: rest, replies: answered })
}

/** The client has lost the connection: whatever it waits for is unknown to it from now on. */
function cut(world: World | undefined, site: Site): World | undefined {
  if (world === undefined) return undefined
  const { requests, replies } = world.sessions[site]
  const unknown = [
    ...replies.map((word) => lost((word.split(' ')[0] ?? '') as Request)),
    ...requests.map(lost),
  ]
  return withSession(world, site, { link: 'cut', requests, replies: unknown })
}

// --- the databases ----------------------------------------------------------------------------

function databaseMoves(world: World, machines: Machines, site: Site, moves: Moves): void {
  const done = finish(world, machines, site)
  if (done !== undefined) {
    moves.progress(`${site} makes it ${done.branches[site]}`, done)
  }
  const spent = spend(world, 'restarts')
  if (spent !== undefined)
    moves.fault(`${site} is killed and starts again`, restart(spent, machines, site))
}

/** The second half of a COMMIT or PREPARE, and the answer to whoever waits for it. */
function finish(world: World, machines: Machines, site: Site): World | undefined {
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

/** Whether an asker's own transaction has the mark's key. */
function isKeyTaken(world: World, site: Site): boolean {
  return CLIENTS.some((name) => {
    const { doing } = world.clients[name]
    return doing === `${site}:holding` || doing === `${site}:reading`
  })
}

function setbackMoves(world: World, machines: Machines, moves: Moves): void {
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

// --- whoever has a connection of his own ------------------------------------------------------

function clientMoves(world: World, machines: Machines, name: ClientName, moves: Moves): void {
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
  moves: Moves,
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
  moves: Moves,
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
  moves: Moves,
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
