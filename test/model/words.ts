/**
 * Answers as words, so that they can be part of a label and of a machine's memory.
 *
 * Owns: what each word means to the shipped machines.
 */
import type { Answer, AskAnswer, EndAnswer, twoPhase } from '../../src/protocol/index.ts'
import type { Row, Site } from './database.ts'

const LOST = 'lost'
const answerOf = (word: string): Answer =>
  word === 'yes' ? { answer: 'yes' } : { answer: word === 'no' ? 'no' : 'unknown', cause: LOST }

export function endOf(word: string): EndAnswer {
  return word === 'done' || word === 'missing'
    ? { answer: word }
    : { answer: 'unknown', cause: LOST }
}

/** An answer to *Ask*; `found` and `settled` are rows. */
export type AskWord = 'waits' | 'found' | 'settled' | 'absent' | 'forgotten' | 'unknown'

export function askAnswerOf(word: AskWord): AskAnswer {
  switch (word) {
    case 'waits':
      return { answer: 'waits' }
    case 'found':
      return { answer: 'found', decision: 'commit' }
    case 'settled':
      return { answer: 'found', decision: 'settled' }
    case 'absent':
      return { answer: 'absent', memory: 'remembered' }
    case 'forgotten':
      return { answer: 'absent', memory: 'forgotten' }
    case 'unknown':
      return { answer: 'unknown', cause: LOST }
  }
}

/** What *Ask* answers for a row that it found. */
export function foundWord(row: Exclude<Row, 'nothing'>): AskWord {
  return row === 'commit' ? 'found' : 'settled'
}

/** What an answer on the way to the owner means to its machine. */
export function ownerEvent(site: Site, reply: string): twoPhase.TwoPhaseEvent {
  const [message = '', word = ''] = reply.split(' ')
  switch (message) {
    case 'claim':
      return { type: 'claimed', answer: answerOf(word) }
    case 'vote':
      return { type: 'voted', branch: site, answer: answerOf(word) }
    case 'decide':
      return { type: 'decided', answer: answerOf(word) }
    default:
      return { type: 'ended', branch: site, answer: endOf(word) }
  }
}
