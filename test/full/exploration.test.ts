/**
 * The exhaustive exploration of the shipped machines: two branches, an owner that may crash or
 * pause, its own recovery, two recoverers, a caller who asks, and databases that are killed.
 */
import { describe, expect, test } from 'vitest'
import { BOUNDS } from '../model/bounds.ts'
import type { Explored } from '../model/model.ts'
import { drainEach, seenIn } from '../model/shipped.ts'

const explored = drainEach(BOUNDS)

describe('the explorations together are not vacuous', () => {
  const all = (pick: (found: Explored) => readonly string[]): readonly string[] =>
    seenIn(explored, pick)

  test('the caller was told everything that can be told', () => {
    const told = all((found) => found.owners.map((state) => state.told))
    expect(told).toEqual(['aborted', 'committed', 'nothing', 'unknown'])
  })

  test('the decision was everything that it can be', () => {
    const decisions = all((found) => found.owners.map((state) => state.decision))
    expect(decisions).toEqual(
      ['abandoned', 'abort', 'commit', 'held', 'open', 'sent', 'unclear'].sort(),
    )
  })

  test('recovery came to every verdict', () => {
    const verdicts = all((found) => found.recoveries.map((state) => state.verdict))
    expect(verdicts).toEqual(
      [
        'branch-unclear',
        'committed',
        'forgotten',
        'gone',
        'held',
        'lost-vote',
        'open',
        'register-unclear',
        'rolled-back',
        'running',
      ].sort(),
    )
  })

  test('receipts answered everything that they can', () => {
    const receipts = all((found) => found.recoveries.map((state) => state.receipt))
    expect(receipts).toEqual(['absent', 'asking', 'found', 'unasked', 'unclear', 'waits'])
  })

  test.for([
    'owner crashes',
    'the caller’s time is over',
    'D is killed and starts again',
    'P is killed and starts again',
    'the owner’s connection to D breaks',
    'the owner’s connection to P breaks',
    'D notices the closed connection',
    'D ends the idle transaction of recoverer 1',
    'recoverer 1 asks D: somebody has the key',
    'D executes the COMMIT of recoverer 1, the answer is lost',
    'P executes COMMIT PREPARED of recoverer 1: seen, the answer is lost',
    'D refuses to commit',
    'P refuses to prepare',
    'D is set back to a backup: gone',
    'D makes the epoch unlisted',
    'D had failed over before the work',
    'D finds no such epoch for the claim',
    'P loses its prepared branch',
  ])('it happened: %s', (event) => {
    expect(explored.some((found) => found.events.has(event))).toBe(true)
  })
})
