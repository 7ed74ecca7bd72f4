/**
 * Answers drawn at random, for machines that are played through.
 *
 * Owns: what a participant and a register can answer, and the tape of choices that fast-check shrinks.
 */
import fc from 'fast-check'
import type { Answer, AskAnswer, EndAnswer } from '../../src/protocol/index.ts'

export const RUNS = { numRuns: 3_000 }
const cause = 'lost'
export const ANSWERS: readonly Answer[] = [
  { answer: 'yes' },
  { answer: 'no', cause },
  { answer: 'unknown', cause },
]
export const ENDS: readonly EndAnswer[] = [
  { answer: 'done' },
  { answer: 'missing' },
  { answer: 'unknown', cause },
]
export const ASKS: readonly AskAnswer[] = [
  { answer: 'found', decision: 'commit' },
  { answer: 'absent', memory: 'remembered' },
  { answer: 'absent', memory: 'forgotten' },
  { answer: 'waits' },
  { answer: 'unknown', cause },
  { answer: 'found', decision: 'settled' },
]

/** Choices, one after the other; the first of each once the tape has come to its end. */
export class Tape {
  readonly #numbers: number[]
  constructor(numbers: readonly number[]) {
    this.#numbers = [...numbers]
  }
  pick<T>(things: readonly T[]): T {
    return things[(this.#numbers.shift() ?? 0) % things.length]!
  }
}

export const tapes = fc.array(fc.nat({ max: 59 }), { maxLength: 60 })
