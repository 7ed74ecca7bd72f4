/**
 * How cleaners and the witness take what reaches them.
 *
 * Owns: carrying events to the shipped machines of forgetting and of the witness, and their messages
 * to a connection.
 * Promises: a row is deleted only because a machine said so. Whoever makes no move has stopped, and
 * anybody else may go on from what it left.
 * Never: decides anything.
 */
import { forgetting, witness } from '../../src/protocol/index.ts'
import type { WitnessMessage } from '../../src/protocol/index.ts'
import type { Machines } from './rules.ts'
import { askAnswerOf } from './words.ts'
import type { AskWord } from './words.ts'
import { concluded, withClient, withPast } from './world.ts'
import type { Cleaner, ClientName, Doing, World } from './world.ts'

const OF_CLEANERS: Readonly<Partial<Record<ClientName, Cleaner>>> = {
  'cleaner 1': 'cleaner 1',
  'cleaner 1’s other connection': 'cleaner 1',
  'cleaner 2': 'cleaner 2',
  'cleaner 2’s other connection': 'cleaner 2',
}

/** Whose connection it is, if a cleaner's. */
export function cleanerOf(name: ClientName): Cleaner | undefined {
  return OF_CLEANERS[name]
}

export function beginCleaning(world: World, machines: Machines, name: Cleaner): World {
  const node = machines.forgetting.node(forgetting.begin(['P']))
  const ready: World = { ...world, cleaners: { ...world.cleaners, [name]: node } }
  return cleanerLearns(ready, machines, name, 'start', { type: 'start' })
}

export function cleanerLearns(
  world: World,
  machines: Machines,
  name: Cleaner,
  word: string,
  event: forgetting.ForgettingEvent,
): World {
  const before = world.cleaners[name]
  if (before === 'none') return world
  const { node, effects } = machines.forgetting.step(before, word, event)
  const drawn = event.type === 'decision-read' && event.reading.answer === 'found'
  const isOver = node.state.verdict !== 'open'
  const learnt: World = {
    ...(drawn ? concluded(world, 'commit') : world),
    cleaners: { ...world.cleaners, [name]: isOver ? 'none' : node },
  }
  return effects.reduce((following, effect) => perform(following, name, effect), learnt)
}

const DOINGS = {
  'read-decision': 'D:read',
  'ask-register': 'D:sent',
  settle: 'D:settle',
  'forget-decision': 'D:delete',
  'read-receipt': 'P:read',
  'ask-receipt': 'P:sent',
  'forget-receipt': 'P:delete',
} as const satisfies Record<Exclude<forgetting.ForgettingEffect['send'], 'alarm-lost-vote'>, Doing>

function perform(world: World, name: Cleaner, { send }: forgetting.ForgettingEffect): World {
  if (send === 'alarm-lost-vote') return withPast(world, { alarm: 'yes' })
  const connections = [name, `${name}’s other connection`] as const
  const free = connections.find((connection) => world.clients[connection].doing === 'idle')
  if (free === undefined) throw new Error(`${name} has no connection left for ${send}`)
  return withClient(world, free, { doing: DOINGS[send] })
}

/** A plain reading was answered after the reader's own COMMIT; `saw` is what the row was. */
export type SawWord = `${'commit' | 'settled'} ${'listed' | 'unlisted'}` | 'nothing' | 'unknown'

export function cleanerLearnsReading(
  world: World,
  machines: Machines,
  name: Cleaner,
  site: 'D' | 'P',
  saw: SawWord,
): World {
  if (site === 'P') {
    const answer = saw === 'unknown' ? saw : saw === 'nothing' ? 'not seen' : 'found'
    const event = { type: 'receipt-read', participant: 'P', answer } as const
    return cleanerLearns(world, machines, name, `receipt ${answer}`, event)
  }
  const reading = readingOf(saw)
  return cleanerLearns(world, machines, name, `decision ${saw}`, { type: 'decision-read', reading })
}

function readingOf(saw: SawWord): forgetting.DecisionReading {
  if (saw === 'unknown') return { answer: 'unknown' }
  if (saw === 'nothing') return { answer: 'gone' }
  const [decision, epoch] = saw.split(' ') as ['commit' | 'settled', 'listed' | 'unlisted']
  return { answer: 'found', decision, epoch }
}

export function cleanerLearnsOfMark(
  world: World,
  machines: Machines,
  name: Cleaner,
  site: 'D' | 'P',
  word: AskWord,
): World {
  const answer = askAnswerOf(word)
  return site === 'D'
    ? cleanerLearns(world, machines, name, `register ${word}`, { type: 'register-asked', answer })
    : cleanerLearns(world, machines, name, `receipt-asked ${word}`, {
        type: 'receipt-asked',
        participant: 'P',
        answer,
      })
}

export type Change = 'D:settle' | 'D:delete' | 'P:delete'

export function cleanerLearnsOfChange(
  world: World,
  machines: Machines,
  name: Cleaner,
  change: Change,
  answer: 'done' | 'unknown',
): World {
  const events = {
    'D:settle': { type: 'settled', answer },
    'D:delete': { type: 'decision-forgotten', answer },
    'P:delete': { type: 'receipt-forgotten', participant: 'P', answer },
  } as const satisfies Record<Change, forgetting.ForgettingEvent>
  return cleanerLearns(world, machines, name, `${change} ${answer}`, events[change])
}

// --- the witness ------------------------------------------------------------------------------

export function beginWitness(world: World, machines: Machines): World {
  const node = machines.witness.node(witness.UNREAD)
  return witnessLearns({ ...world, witness: node }, machines, 'start', { type: 'start' })
}

const WITNESS_DOINGS: Readonly<Record<WitnessMessage, Doing>> = {
  'read-receipt': 'P:read',
  'ask-register': 'D:sent',
  'ask-receipt-again': 'P:sent',
  'alarm-lost-decision': 'idle',
}

export function witnessLearns(
  world: World,
  machines: Machines,
  word: string,
  event: witness.WitnessEvent,
): World {
  if (world.witness === 'none') return world
  const { node, effects } = machines.witness.step(world.witness, word, event)
  const isOver = node.state.verdict !== 'open'
  const learnt: World = { ...world, witness: isOver ? 'none' : node }
  const told = effects.includes('alarm-lost-decision')
    ? withPast(learnt, { report: 'yes' })
    : learnt
  const [message] = effects
  return message === undefined
    ? told
    : withClient(told, 'the witness', { doing: WITNESS_DOINGS[message] })
}
