/**
 * How the parties take what reaches them: the owner, whoever recovers, and the caller who asks.
 *
 * Owns: carrying events to the shipped machines and their effects back into the world.
 * Promises: a message is sent only because a machine said so. The connection that it takes is the
 * one that `systems/pg/branch.ts` takes.
 * Never: decides anything.
 */
import { recovery } from '../../src/protocol/index.ts'
import type { EndAnswer, RecoveryMessage, twoPhase } from '../../src/protocol/index.ts'
import type { Site } from './database.ts'
import {
  cleanerLearnsOfChange,
  cleanerLearnsOfMark,
  cleanerLearnsReading,
  cleanerOf,
  witnessLearns,
} from './forgetting.ts'
import type { Change, SawWord } from './forgetting.ts'
import type { Machines, Stepped } from './rules.ts'
import { askAnswerOf, endOf } from './words.ts'
import type { AskWord } from './words.ts'
import { concluded, withClient, withPast, withSession } from './world.ts'
import type { ClientName, Doing, Request, World } from './world.ts'

/** The owner learns something, and sends what is due. */
export function ownerLearns(
  world: World,
  machines: Machines,
  name: string,
  event: twoPhase.TwoPhaseEvent,
): World {
  if (world.owner.status === 'crashed') return world
  const before = world.owner.machine
  const { node, effects } = machines.owner.step(before, name, event)
  const learnt: World = { ...world, owner: { status: 'runs', machine: node } }
  const { decision } = node.state
  const drawn = event.type === 'asked' && (decision === 'commit' || decision === 'abort')
  return effects.reduce(
    (following, effect) => perform(following, machines, effect, node.state),
    drawn ? concluded(learnt, decision) : learnt,
  )
}

function perform(
  world: World,
  machines: Machines,
  effect: twoPhase.TwoPhaseEffect,
  { votes }: twoPhase.TwoPhaseState,
): World {
  switch (effect.send) {
    case 'claim':
      return request(world, 'D', 'claim')
    case 'vote':
      return request(world, 'P', 'vote')
    case 'decide':
      return request(world, 'D', 'decide')
    case 'apply':
      return endVoter(world, votes, 'commit')
    case 'undo':
      return effect.branch === 'D' ? request(world, 'D', 'rollback') : undoVoter(world, votes)
    case 'ask':
      return withClient(world, 'the owner’s ask', { doing: 'D:sent' })
    case 'hand-over':
      // The decider prepared nothing, so there is nothing to recover.
      return effect.branch === 'D' ? world : beginRound(world, machines, 'the owner’s recovery')
    case 'commit-reader':
    case 'tell-committed':
    case 'tell-aborted':
    case 'tell-unknown':
      return world
  }
}

type Votes = twoPhase.TwoPhaseState['votes']

function undoVoter(world: World, votes: Votes): World {
  const isMaybePrepared = votes['P'] === 'yes' || votes['P'] === 'unknown'
  return isMaybePrepared ? endVoter(world, votes, 'rollback') : request(world, 'P', 'rollback')
}

/** On the branch's own connection while it is known to be prepared there, otherwise elsewhere. */
function endVoter(world: World, votes: Votes, how: 'commit' | 'rollback'): World {
  if (votes['P'] === 'yes') return request(world, 'P', how === 'commit' ? 'apply' : 'undo')
  return withClient(world, 'the owner’s other connection', { doing: how })
}

function request(world: World, site: Site, message: Request): World {
  const session = world.sessions[site]
  if (session.link !== 'up') {
    return withSession(world, site, { ...session, replies: [...session.replies, lost(message)] })
  }
  return withSession(world, site, { ...session, requests: [...session.requests, message] })
}

/** What the client makes of a message whose connection is gone. */
export function lost(message: Request): string {
  const [name = ''] = message.split('+')
  // A plain ROLLBACK needs no answer: the server rolls back what it finds open.
  return name === 'rollback' ? 'rollback done' : `${name} unknown`
}

/** Whoever asked has an answer; `word` is what the database said. */
export function clientLearnsOfMark(
  world: World,
  machines: Machines,
  name: ClientName,
  word: AskWord,
): World {
  const client = world.clients[name]
  const isRegister = client.doing.startsWith('D')
  const idle = withClient(world, name, { doing: 'idle' })
  const answer = askAnswerOf(word)
  if (name === 'the owner’s ask') {
    return ownerLearns(idle, machines, `asked ${word}`, { type: 'asked', answer })
  }
  if (name === 'the caller') {
    const conclusion = machines.rules.conclude(answer)
    const drawn = conclusion === 'commit' || conclusion === 'abort'
    return drawn ? concluded(idle, conclusion) : idle
  }
  const cleaner = cleanerOf(name)
  if (cleaner !== undefined) {
    return cleanerLearnsOfMark(idle, machines, cleaner, isRegister ? 'D' : 'P', word)
  }
  const type = isRegister ? 'register-asked' : 'receipt-asked'
  if (name === 'the witness')
    return witnessLearns(idle, machines, `${type} ${word}`, { type, answer })
  return recovererLearns(idle, machines, name, `${type} ${word}`, { type, answer })
}

/** Whoever sent COMMIT PREPARED or ROLLBACK PREPARED has an answer. */
export function clientLearnsOfEnd(
  world: World,
  machines: Machines,
  name: ClientName,
  word: EndAnswer['answer'],
): World {
  const idle = withClient(world, name, { doing: 'idle' })
  const answer = endOf(word)
  if (name === 'the owner’s other connection') {
    return ownerLearns(idle, machines, `ended ${word}`, { type: 'ended', branch: 'P', answer })
  }
  return recovererLearns(idle, machines, name, `ended ${word}`, { type: 'ended', answer })
}

/** Whoever read a row has an answer: a cleaner, or the witness. */
export function clientLearnsOfReading(
  world: World,
  machines: Machines,
  name: ClientName,
  site: Site,
  saw: SawWord,
): World {
  const idle = withClient(world, name, { doing: 'idle' })
  const cleaner = cleanerOf(name)
  if (cleaner !== undefined) return cleanerLearnsReading(idle, machines, cleaner, site, saw)
  const answer = saw === 'unknown' ? saw : saw === 'nothing' ? 'not seen' : 'found'
  return witnessLearns(idle, machines, `read ${answer}`, { type: 'receipt-read', answer })
}

/** A cleaner has the answer to what it changes just now. */
export function clientLearnsOfChange(
  world: World,
  machines: Machines,
  name: ClientName,
  answer: 'done' | 'unknown',
): World {
  const change = world.clients[name].doing.replace('+', '') as Change
  const idle = withClient(world, name, { doing: 'idle' })
  const cleaner = cleanerOf(name)
  if (cleaner === undefined) throw new Error(`${name} changes no row`)
  return cleanerLearnsOfChange(idle, machines, cleaner, change, answer)
}

/** Whatever it does just now, its connection is gone. */
export function clientFails(world: World, machines: Machines, name: ClientName): World {
  const { doing } = world.clients[name]
  if (isEnding(doing)) return clientLearnsOfEnd(world, machines, name, 'unknown')
  if (isChange(doing)) return clientLearnsOfChange(world, machines, name, 'unknown')
  if (doing.endsWith('read') || doing.includes('saw')) {
    const site = doing.startsWith('D') ? 'D' : 'P'
    return clientLearnsOfReading(world, machines, name, site, 'unknown')
  }
  return doing === 'idle' ? world : clientLearnsOfMark(world, machines, name, 'unknown')
}

export function isEnding(doing: Doing): boolean {
  return doing.startsWith('commit') || doing.startsWith('rollback')
}

export function isChange(doing: Doing): boolean {
  return ['D:settle', 'D:delete', 'P:delete'].includes(doing.replace('+', ''))
}

/** Where the connection goes that it uses just now. */
export function siteOf(doing: Doing): Site | undefined {
  if (doing === 'idle') return undefined
  return doing.startsWith('D') ? 'D' : 'P'
}

/** A round of recovery begins. */
export function beginRound(world: World, machines: Machines, name: ClientName): World {
  const listed = machines.recovery.node(recovery.LISTED)
  const ready = withClient(world, name, { machine: listed })
  return recovererLearns(ready, machines, name, 'start', { type: 'start' })
}

function recovererLearns(
  world: World,
  machines: Machines,
  name: ClientName,
  word: string,
  event: recovery.RecoveryEvent,
): World {
  const before = world.clients[name].machine
  if (before === 'none') return world
  const stepped = withoutOthers(machines, machines.recovery.step(before, word, event))
  const { node, effects } = stepped
  const { register, verdict } = node.state
  const drawn = event.type === 'register-asked' && (register === 'commit' || register === 'abort')
  const learnt = drawn ? concluded(world, register) : world
  const told = effects.includes('alarm-lost-vote') ? withPast(learnt, { alarm: 'yes' }) : learnt
  if (verdict === 'open') return withClient(told, name, { machine: node, doing: nextOf(stepped) })
  const ended = withClient(told, name, { machine: 'none' })
  return name === 'the owner’s recovery' ? handedBack(ended, machines, verdict) : ended
}

/** The model has one voter: nobody else can have a receipt. */
function withoutOthers(
  machines: Machines,
  stepped: Stepped<recovery.RecoveryState, RecoveryMessage>,
): Stepped<recovery.RecoveryState, RecoveryMessage> {
  if (!stepped.effects.includes('look-for-receipts')) return stepped
  const answer = { type: 'receipts-looked-for', answer: 'no receipt' } as const
  return machines.recovery.step(stepped.node, 'no receipt', answer)
}

const DOINGS: Readonly<Record<RecoveryMessage, Doing>> = {
  'ask-register': 'D:sent',
  'ask-register-again': 'D:sent',
  'ask-receipt': 'P:sent',
  'look-for-receipts': 'idle',
  'commit-prepared': 'commit',
  'rollback-prepared': 'rollback',
  'alarm-lost-vote': 'idle',
}

function nextOf({ effects }: Stepped<recovery.RecoveryState, RecoveryMessage>): Doing {
  const [message] = effects
  return message === undefined ? 'idle' : DOINGS[message]
}

/** As `engine/recover.ts` does: again and again, until it has ended or is held. */
function handedBack(world: World, machines: Machines, verdict: recovery.Verdict): World {
  const branch = 'P'
  switch (verdict) {
    case 'committed':
    case 'rolled-back':
    case 'gone':
      return ownerLearns(world, machines, 'recovered', {
        type: 'recovered',
        branch,
        result: 'done',
      })
    // The last: nobody can have settled and cleaned what its own process is still ending.
    case 'lost-vote':
    case 'lost-decision':
    case 'forgotten':
      return ownerLearns(world, machines, 'lost', { type: 'recovered', branch, result: 'lost' })
    case 'held':
    case 'contradicted':
      return world
    case 'running':
    case 'register-unclear':
    case 'branch-unclear':
      return beginRound(world, machines, 'the owner’s recovery')
  }
}
