/**
 * What a database does for everybody who has a connection of his own: recoverers, askers.
 *
 * Owns: *Ask* in its steps, and COMMIT PREPARED and ROLLBACK PREPARED from elsewhere.
 * Promises: what a client does with an answer is joined to the answer. Nobody can see the time
 * between, and his next message can still take as long as it likes.
 */
import { endPrepared, holdsKey, isListed, shownRow, showsMark } from './database.ts'
import type { EndWord, Site } from './database.ts'
import { isRemembered } from './epochs.ts'
import type { Moves } from './explore.ts'
import { beginCleaning, beginWitness, cleanerOf } from './forgetting.ts'
import { beginRound, clientLearnsOfEnd, clientLearnsOfMark } from './parties.ts'
import { changeMoves, readMoves, sawMoves } from './rows.ts'
import type { Machines } from './rules.ts'
import { flush } from './servers.ts'
import { isKeyTaken } from './sessions.ts'
import { foundWord } from './words.ts'
import type { AskWord } from './words.ts'
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
    case 'D:knowing':
    case 'P:knowing':
    case 'D:doubting':
    case 'P:doubting':
      askMoves(world, machines, name, doing, moves)
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
    case 'D:read':
    case 'P:read':
      readMoves(world, machines, name, doing === 'D:read' ? 'D' : 'P', moves)
      return
    case 'D:settle':
    case 'D:delete':
    case 'P:delete':
      changeMoves(world, machines, name, doing, moves)
      return
    case 'commit+':
    case 'rollback+':
    case 'D:settle+':
    case 'D:delete+':
    case 'P:delete+':
      return
    case 'D:saw commit listed':
    case 'D:saw commit unlisted':
    case 'D:saw settled listed':
    case 'D:saw settled unlisted':
    case 'P:saw commit':
      sawMoves(world, machines, name, doing, moves)
  }
}

/**
 * A recoverer begins when the voter's list has a branch; the caller once it was told something; a
 * cleaner when it sees a decision; the witness whenever it likes.
 */
function beginClient(world: World, machines: Machines, name: ClientName): World | undefined {
  const { rounds } = world.clients[name]
  const begun = withClient(world, name, { rounds: rounds - 1 })
  if (name === 'the caller') {
    return toldOf(world.owner) === 'nothing'
      ? undefined
      : withClient(begun, name, { doing: 'D:sent' })
  }
  const { D, P } = world.branches
  const cleaner = cleanerOf(name)
  if (cleaner !== undefined) {
    const isFree = world.cleaners[cleaner] === 'none'
    return isFree && showsMark(D) ? beginCleaning(begun, machines, cleaner) : undefined
  }
  if (name === 'the witness') return beginWitness(begun, machines)
  return isListed(P) ? beginRound(begun, machines, name) : undefined
}

type Sending = `${Site}:${'sent' | 'knowing' | 'doubting'}`

function askMoves(
  world: World,
  machines: Machines,
  name: ClientName,
  doing: Sending,
  moves: Moves<World>,
): void {
  const site = doing.startsWith('D') ? 'D' : 'P'
  const branch = world.branches[site]
  const learn = (word: AskWord): World => clientLearnsOfMark(world, machines, name, word)
  const lostWorld = spend(world, 'breaks')
  if (lostWorld !== undefined) {
    moves.fault(
      `${name} loses the connection to ${site}`,
      clientLearnsOfMark(lostWorld, machines, name, 'unknown'),
    )
  }
  if (site === 'P' && cleanerOf(name) !== undefined && machines.rules.absence !== 'asked') {
    const isThere = isListed(branch)
    moves.progress(`${name} reads the list of P`, learn(isThere ? 'waits' : 'absent'))
    return
  }
  if (machines.rules.memory === 'before its insert' && doing === 'D:sent') {
    const known = isRemembered(world, machines) ? 'D:knowing' : 'D:doubting'
    moves.progress(`${name} reads the memory of D`, withClient(world, name, { doing: known }))
    return
  }
  const row = shownRow(branch)
  if (holdsKey(branch) || isKeyTaken(world, site)) {
    moves.progress(`${name} asks ${site}: somebody has the key`, learn('waits'))
  } else if (row === 'nothing') {
    if (doing.endsWith('sent')) {
      const holding = withClient(world, name, { doing: `${site}:holding` })
      moves.progress(`${name} inserts its own row in ${site}`, holding)
      return
    }
    const memory = doing.endsWith('knowing') ? 'absent' : 'forgotten'
    moves.progress(`${name} inserts its own row in ${site} and rolls back`, learn(memory))
  } else if (machines.rules.obeys === 'seen') {
    const found = learn(foundWord(row))
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
    // The memory is the register's: what it says of a receipt plays no part.
    const memory = site === 'P' || isRemembered(world, machines) ? 'absent' : 'forgotten'
    const absent = clientLearnsOfMark(world, machines, name, memory)
    moves.progress(`${name} is told by ${site}: ${memory}, and rolls back`, absent)
    return
  }
  // Its own write is behind the mark in the log: when the one is flushed, so is the other. Nobody
  // can have changed the row, which its write has locked.
  const row = shownRow(world.branches[site])
  if (row === 'nothing') throw new Error(`${site} lost a row that ${name} has locked`)
  const word = foundWord(row)
  const flushed = flush(world, machines, site)
  const found = clientLearnsOfMark(flushed, machines, name, word)
  moves.progress(`${name} has its COMMIT answered by ${site}: ${word}`, found)
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
