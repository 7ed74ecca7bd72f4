/**
 * The machines of forgetting and of the witness under every order of answers that can be, drawn at
 * random and shrunk: with several participants, of which the exploration has one.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { forgetting, witness } from '../../src/protocol/index.ts'
import type { WitnessMessage } from '../../src/protocol/index.ts'
import { ASKS, RUNS, Tape, tapes } from './tape.ts'

type Effect = forgetting.ForgettingEffect
type Step = (before: forgetting.ForgettingState, event: forgetting.ForgettingEvent) => void

const PARTICIPANTS = ['P1', 'P2', 'P3'] as const
const READINGS: readonly forgetting.DecisionReading[] = [
  { answer: 'found', decision: 'commit', epoch: 'unlisted' },
  { answer: 'found', decision: 'commit', epoch: 'listed' },
  { answer: 'found', decision: 'settled', epoch: 'unlisted' },
  { answer: 'found', decision: 'settled', epoch: 'listed' },
  { answer: 'gone' },
  { answer: 'unknown' },
]
const DONE = ['done', 'done', 'unknown'] as const
const SEEN = ['found', 'found', 'not seen', 'unknown'] as const

function answerTo(effect: Effect, tape: Tape): forgetting.ForgettingEvent {
  switch (effect.send) {
    case 'read-decision':
      return { type: 'decision-read', reading: tape.pick(READINGS) }
    case 'ask-register':
      return { type: 'register-asked', answer: tape.pick(ASKS) }
    case 'settle':
      return { type: 'settled', answer: tape.pick(DONE) }
    case 'forget-decision':
      return { type: 'decision-forgotten', answer: tape.pick(DONE) }
    case 'read-receipt':
      return { type: 'receipt-read', participant: effect.participant, answer: tape.pick(SEEN) }
    case 'ask-receipt':
      return { type: 'receipt-asked', participant: effect.participant, answer: tape.pick(ASKS) }
    case 'forget-receipt':
      return { type: 'receipt-forgotten', participant: effect.participant, answer: tape.pick(DONE) }
    case 'alarm-lost-vote':
      throw new Error('an alarm has no answer')
  }
}

interface Run {
  readonly state: forgetting.ForgettingState
  readonly sent: readonly Effect[]
}

/** Plays a pass to its end, every message answered once, in any order. */
function play(participants: readonly string[], tape: Tape, watch: Step = () => undefined): Run {
  let state = forgetting.begin(participants)
  const sent: Effect[] = []
  const waiting: Effect[] = []
  const dispatch = (event: forgetting.ForgettingEvent): void => {
    watch(state, event)
    const next = forgetting.step(state, event)
    state = next.state
    sent.push(...next.effects)
    waiting.push(...next.effects.filter(({ send }) => send !== 'alarm-lost-vote'))
  }
  dispatch({ type: 'start' })
  while (waiting.length > 0) {
    const next = tape.pick(waiting)
    waiting.splice(waiting.indexOf(next), 1)
    dispatch(answerTo(next, tape))
  }
  return { state, sent }
}

const counts = fc.integer({ min: 0, max: PARTICIPANTS.length })

describe('a pass of forgetting, whatever is answered in whatever order', () => {
  test('sends each message at most once, and ends with a verdict', () => {
    fc.assert(
      fc.property(counts, tapes, (count, numbers) => {
        const { state, sent } = play(PARTICIPANTS.slice(0, count), new Tape(numbers))
        expect(state.verdict).not.toBe('open')
        const names = sent.map((effect) => JSON.stringify(effect))
        expect(new Set(names).size).toBe(names.length)
        expect(forgetting.step(state, { type: 'start' })).toEqual({ state, effects: [] })
      }),
      RUNS,
    )
  })

  test('settles only when every receipt was durable, and deletes only in the order of its steps', () => {
    fc.assert(
      fc.property(counts, tapes, (count, numbers) => {
        const participants = PARTICIPANTS.slice(0, count)
        const known = new Set<string>()
        const watch: Step = (_, event) => {
          if (event.type === 'receipt-read' && event.answer === 'found')
            known.add(event.participant)
          if (event.type === 'receipt-asked' && event.answer.answer === 'found') {
            known.add(event.participant)
          }
          if (event.type === 'settled' && event.answer === 'done') known.add('settled')
          if (event.type === 'decision-read' && event.reading.answer === 'found') {
            if (event.reading.decision === 'settled') known.add('settled')
          }
          if (event.type === 'receipt-forgotten' && event.answer === 'done') {
            known.add(`without ${event.participant}`)
          }
        }
        const { sent, state } = play(participants, new Tape(numbers), watch)
        const names = sent.map(({ send }) => send)
        if (names.includes('settle')) {
          expect(participants.filter((name) => !known.has(name))).toEqual([])
        }
        if (names.includes('forget-receipt')) expect(known).toContain('settled')
        if (names.includes('forget-decision')) {
          expect(participants.filter((name) => !known.has(`without ${name}`))).toEqual([])
          expect(state.epoch).toBe('unlisted')
        }
        expect(state.verdict === 'forgotten').toBe(state.deletedDecision === 'done')
      }),
      RUNS,
    )
  })

  test('deletes nothing of a transaction whose vote was lost, and names who lost it', () => {
    fc.assert(
      fc.property(counts, tapes, (count, numbers) => {
        const registers = new Set<string>()
        const watch: Step = (_, event) => {
          if (event.type === 'register-asked') registers.add(JSON.stringify(event.answer))
        }
        const { sent, state } = play(PARTICIPANTS.slice(0, count), new Tape(numbers), watch)
        const alarms = sent.filter(({ send }) => send === 'alarm-lost-vote')
        expect(alarms).toHaveLength(state.verdict === 'lost-vote' ? 1 : 0)
        for (const alarm of alarms) {
          if (!('participant' in alarm)) throw new Error('an alarm without a participant')
          expect(state.receipts[alarm.participant]).toBe('absent')
          expect(registers).toContain(JSON.stringify({ answer: 'found', decision: 'commit' }))
          const changes = ['settle', 'forget-receipt', 'forget-decision']
          expect(sent.filter(({ send }) => changes.includes(send))).toEqual([])
        }
      }),
      RUNS,
    )
  })

  test('with the best of answers forgets everything', () => {
    const { state, sent } = play(PARTICIPANTS, new Tape([]))
    expect(state.verdict).toBe('forgotten')
    const names = sent.map(({ send }) => send)
    const receipts = (send: Effect['send']): Effect['send'][] => PARTICIPANTS.map(() => send)
    expect(names).toEqual([
      'read-decision',
      ...receipts('read-receipt'),
      'settle',
      ...receipts('forget-receipt'),
      'forget-decision',
    ])
  })
})

type WitnessAnswer = Exclude<witness.WitnessEvent, { readonly type: 'start' }>

function witnessAnswer(message: WitnessMessage, tape: Tape): WitnessAnswer {
  switch (message) {
    case 'read-receipt':
      return { type: 'receipt-read', answer: tape.pick(SEEN) }
    case 'ask-register':
      return { type: 'register-asked', answer: tape.pick(ASKS) }
    case 'ask-receipt-again':
      return { type: 'receipt-asked', answer: tape.pick(ASKS) }
    case 'alarm-lost-decision':
      throw new Error('an alarm has no answer')
  }
}

test('a witness sends each message at most once, and reports only what it was told', () => {
  fc.assert(
    fc.property(tapes, (numbers) => {
      const tape = new Tape(numbers)
      let { state, effects } = witness.step(witness.UNREAD, { type: 'start' })
      const sent: WitnessMessage[] = []
      const told: string[] = []
      while (state.verdict === 'open') {
        expect(effects).toHaveLength(1)
        const [message] = effects
        const event = witnessAnswer(message!, tape)
        sent.push(message!)
        told.push(typeof event.answer === 'string' ? event.answer : event.answer.answer)
        ;({ state, effects } = witness.step(state, event))
      }
      sent.push(...effects)
      expect(new Set(sent).size).toBe(sent.length)
      const isReported = sent.includes('alarm-lost-decision')
      expect(state.verdict === 'lost-decision').toBe(isReported)
      expect(told.join() === 'found,absent,found').toBe(isReported)
    }),
    RUNS,
  )
})
