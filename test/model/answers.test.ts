import { expect, test } from 'vitest'
import { conclude } from '../../src/protocol/index.ts'
import type { AskAnswer, Conclusion } from '../../src/protocol/index.ts'

test.each<[AskAnswer, Conclusion]>([
  [{ answer: 'found', decision: 'commit' }, 'commit'],
  // Nobody stores an abort today; a row that is found is obeyed all the same.
  [{ answer: 'found', decision: 'abort' }, 'abort'],
  [{ answer: 'found', decision: 'heuristic-commit' }, 'commit'],
  [{ answer: 'found', decision: 'heuristic-abort' }, 'abort'],
  [{ answer: 'absent', memory: 'remembered' }, 'abort'],
  [{ answer: 'absent', memory: 'forgotten' }, 'held'],
  [{ answer: 'waits' }, 'running'],
  [{ answer: 'unknown', cause: 'lost' }, 'unclear'],
])('%j means %s', (asked, conclusion) => {
  expect(conclude(asked)).toBe(conclusion)
})
