/**
 * The machines under every order of events that can be: drawn at random, and shrunk.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { onePhase, recovery, twoPhase } from '../../src/protocol/index.ts'
import type { RecoveryMessage } from '../../src/protocol/index.ts'
import { ANSWERS, ASKS, ENDS, RUNS, Tape, tapes } from './tape.ts'

const cause = 'lost'
const plans = fc
  .record({ readers: fc.nat({ max: 2 }), voters: fc.integer({ min: 1, max: 3 }) })
  .map(({ readers, voters }) => ({
    protocol: 'two-phase' as const,
    readers: ['R1', 'R2'].slice(0, readers),
    decider: 'D',
    voters: ['P1', 'P2', 'P3'].slice(0, voters),
  }))

/** An answer to a message of the owner that it can have. */
function ownerAnswer(
  effect: twoPhase.TwoPhaseEffect,
  { decision, plan }: twoPhase.TwoPhaseState,
  tape: Tape,
): twoPhase.TwoPhaseEvent {
  switch (effect.send) {
    case 'claim':
      return { type: 'claimed', answer: tape.pick(ANSWERS) }
    case 'vote':
      return { type: 'voted', branch: effect.branch, answer: tape.pick(ANSWERS) }
    case 'commit-reader':
      return { type: 'reader-committed', branch: effect.branch, answer: tape.pick(ANSWERS) }
    case 'decide':
      return { type: 'decided', answer: tape.pick(ANSWERS) }
    case 'ask':
      return { type: 'asked', answer: tape.pick(ASKS) }
    case 'apply':
    case 'undo': {
      return { type: 'ended', branch: effect.branch, answer: tape.pick(ENDS) }
    }
    case 'hand-over': {
      // A vote is only lost where the register says commit, which it can't once COMMIT is ruled out.
      const isRuledOut = decision === 'abandoned' || decision === 'abort'
      const results = isRuledOut ? (['done', 'left'] as const) : (['done', 'lost', 'left'] as const)
      // Nothing of the decider is prepared.
      const result = effect.branch === plan.decider ? 'left' : tape.pick(results)
      return { type: 'recovered', branch: effect.branch, result }
    }
    case 'tell-committed':
    case 'tell-aborted':
    case 'tell-unknown':
      throw new Error('telling has no answer')
  }
}

interface OwnerRun {
  readonly state: twoPhase.TwoPhaseState
  readonly sent: readonly twoPhase.TwoPhaseEffect[]
}

/** Plays a whole transaction, every message answered once, in any order, `over` at any time. */
function playOwner(
  plan: Parameters<typeof twoPhase.begin>[0],
  resolveWhen: 'applied' | 'decided',
  tape: Tape,
  check: (before: twoPhase.TwoPhaseState, effects: readonly twoPhase.TwoPhaseEffect[]) => void,
): OwnerRun {
  let state = twoPhase.begin(plan, resolveWhen)
  let isOverDue = true
  const sent: twoPhase.TwoPhaseEffect[] = []
  const waiting: twoPhase.TwoPhaseEffect[] = []
  const dispatch = (event: twoPhase.TwoPhaseEvent): void => {
    const next = twoPhase.step(state, event)
    check(next.state, next.effects)
    state = next.state
    sent.push(...next.effects)
    const answered = (effect: twoPhase.TwoPhaseEffect): boolean => !effect.send.startsWith('tell')
    waiting.push(...next.effects.filter(answered))
  }
  dispatch({ type: 'start' })
  while (waiting.length > 0) {
    const next = tape.pick<twoPhase.TwoPhaseEffect | 'over'>(
      isOverDue ? [...waiting, 'over'] : waiting,
    )
    if (next === 'over') {
      isOverDue = false
      dispatch({ type: 'over', cause })
    } else {
      waiting.splice(waiting.indexOf(next), 1)
      dispatch(ownerAnswer(next, state, tape))
    }
  }
  return { state, sent }
}

const resolutions = fc.constantFrom('applied' as const, 'decided' as const)

describe('an owner, whatever is answered in whatever order', () => {
  test('tells its caller once, and ends', () => {
    fc.assert(
      fc.property(plans, resolutions, tapes, (plan, resolveWhen, numbers) => {
        const tape = new Tape(numbers)
        const { state, sent } = playOwner(plan, resolveWhen, tape, () => undefined)
        expect(sent.filter((effect) => effect.send.startsWith('tell'))).toHaveLength(1)
        expect(twoPhase.isOver(state)).toBe(true)
      }),
      RUNS,
    )
  })

  test('sends each message at most once, but for its questions', () => {
    fc.assert(
      fc.property(plans, resolutions, tapes, (plan, resolveWhen, numbers) => {
        const tape = new Tape(numbers)
        const { sent } = playOwner(plan, resolveWhen, tape, () => undefined)
        const once = sent.filter((effect) => effect.send !== 'ask').map((it) => JSON.stringify(it))
        expect(new Set(once).size).toBe(once.length)
      }),
      RUNS,
    )
  })

  test('decides only on every yes, tells only what it knows, and never both applies and undoes', () => {
    fc.assert(
      fc.property(plans, resolutions, tapes, (plan, resolveWhen, numbers) => {
        const tape = new Tape(numbers)
        const { sent } = playOwner(plan, resolveWhen, tape, (after, effects) => {
          const names = effects.map((effect) => effect.send)
          if (names.includes('decide')) {
            const all = { claim: after.claim, ...after.votes, ...after.readers }
            expect(Object.values(all).every((answer) => answer === 'yes')).toBe(true)
          }
          if (names.includes('tell-committed')) expect(after.decision).toBe('commit')
          if (names.includes('tell-aborted')) {
            expect(['abandoned', 'abort']).toContain(after.decision)
          }
        })
        const names = new Set(sent.map((effect) => effect.send))
        expect(names.has('apply') && names.has('undo')).toBe(false)
        const isDecideSentOnce = sent.filter((effect) => effect.send === 'decide').length <= 1
        expect(isDecideSentOnce).toBe(true)
      }),
      RUNS,
    )
  })
})

function recoveryAnswer(message: RecoveryMessage, tape: Tape): recovery.RecoveryEvent {
  switch (message) {
    case 'ask-register':
    case 'ask-register-again':
      return { type: 'register-asked', answer: tape.pick(ASKS) }
    case 'ask-receipt':
      return { type: 'receipt-asked', answer: tape.pick(ASKS) }
    case 'look-for-receipts':
      return { type: 'receipts-looked-for', answer: tape.pick(['no receipt', 'receipt']) }
    case 'commit-prepared':
    case 'rollback-prepared':
      return { type: 'ended', answer: tape.pick(ENDS) }
    case 'alarm-lost-vote':
      throw new Error('an alarm has no answer')
  }
}

describe('a round of recovery, whatever is answered', () => {
  test('sends one message at a time, each at most once, and ends with a verdict', () => {
    fc.assert(
      fc.property(tapes, (numbers) => {
        const tape = new Tape(numbers)
        let { state, effects } = recovery.step(recovery.LISTED, { type: 'start' })
        const sent: RecoveryMessage[] = []
        while (state.verdict === 'open') {
          expect(effects).toHaveLength(1)
          const [message] = effects
          sent.push(message!)
          ;({ state, effects } = recovery.step(state, recoveryAnswer(message!, tape)))
        }
        sent.push(...effects)
        expect(new Set(sent).size).toBe(sent.length)
        expect(state.verdict === 'lost-vote').toBe(sent.includes('alarm-lost-vote'))
        expect(state.verdict === 'contradicted').toBe(state.elsewhere === 'receipt')
        const isContradicted = state.elsewhere === 'receipt' && sent.includes('rollback-prepared')
        expect(isContradicted).toBe(false)
        const after = recovery.step(state, { type: 'start' })
        expect(after).toEqual({ state, effects: [] })
      }),
      RUNS,
    )
  })
})

describe('a one-phase transaction, whatever is answered in whatever order', () => {
  const solos = fc
    .record({ readers: fc.nat({ max: 2 }), writers: fc.nat({ max: 1 }) })
    .map(({ readers, writers }): Parameters<typeof onePhase.begin>[0] => ({
      protocol: 'one-phase',
      readers: ['R1', 'R2'].slice(0, readers),
      writers: writers === 0 ? [] : ['W'],
    }))
  test('tells its caller once, truly, and ends', () => {
    fc.assert(
      fc.property(solos, tapes, (plan, numbers) => {
        const tape = new Tape(numbers)
        const { state, told, written } = playSolo(plan, tape)
        expect(told).toHaveLength(1)
        expect(onePhase.isOver(state)).toBe(true)
        if (told[0] === 'tell-committed' && plan.writers.length > 0) expect(written).toBe('yes')
        if (told[0] === 'tell-aborted') expect(['unsent', 'no']).toContain(written)
      }),
      RUNS,
    )
  })
})

function playSolo(
  plan: Parameters<typeof onePhase.begin>[0],
  tape: Tape,
): { state: onePhase.OnePhaseState; told: readonly string[]; written: string } {
  let state = onePhase.begin(plan)
  let isOverDue = true
  let written = 'unsent'
  const told: string[] = []
  const waiting: Extract<onePhase.OnePhaseEffect, { branch: string }>[] = []
  const dispatch = (event: onePhase.OnePhaseEvent): void => {
    const next = onePhase.step(state, event)
    state = next.state
    for (const effect of next.effects) {
      if ('branch' in effect) waiting.push(effect)
      else told.push(effect.send)
    }
  }
  dispatch({ type: 'start' })
  while (waiting.length > 0) {
    const next = tape.pick<(typeof waiting)[number] | 'over'>(
      isOverDue ? [...waiting, 'over'] : waiting,
    )
    if (next === 'over') {
      isOverDue = false
      dispatch({ type: 'over', cause })
      continue
    }
    waiting.splice(waiting.indexOf(next), 1)
    const answer = tape.pick(ANSWERS)
    if (next.send === 'commit') {
      written = answer.answer
      dispatch({ type: 'committed', answer })
    } else if (next.send === 'commit-reader') {
      dispatch({ type: 'reader-committed', branch: next.branch, answer })
    } else {
      dispatch({ type: 'ended', branch: next.branch, answer: tape.pick(ENDS) })
    }
  }
  return { state, told, written }
}
