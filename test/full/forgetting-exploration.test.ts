/**
 * The exhaustive exploration of forgetting: cleaners and a witness beside whatever is still going on,
 * an epoch that goes at any time, fail-overs, backups that are put back.
 */
import { describe, expect, test } from 'vitest'
import { FORGETTING_BOUNDS } from '../model/bounds.ts'
import type { Explored } from '../model/model.ts'
import { drainEach, seenIn } from '../model/shipped.ts'

const explored = drainEach(FORGETTING_BOUNDS)

describe('the explorations together are not vacuous', () => {
  const all = (pick: (found: Explored) => readonly string[]): readonly string[] =>
    seenIn(explored, pick)

  test('forgetting came to every verdict', () => {
    const verdicts = all((found) => found.forgettings.map((state) => state.verdict))
    expect(verdicts).toEqual(
      ['forgotten', 'lost-vote', 'not yet', 'open', 'settled', 'unclear'].sort(),
    )
  })

  test('decisions, receipts and registers answered a cleaner everything that they can', () => {
    const decisions = all((found) => found.forgettings.map((state) => state.decision))
    expect(decisions).toEqual(
      ['commit', 'gone', 'reading', 'settled', 'settling', 'unclear', 'unread'].sort(),
    )
    const receipts = all((found) =>
      found.forgettings.flatMap((state) => Object.values(state.receipts)),
    )
    expect(receipts).toEqual(
      ['absent', 'asking', 'durable', 'reading', 'unclear', 'unread', 'waits'].sort(),
    )
    const registers = all((found) => found.forgettings.map((state) => state.registerAgain))
    expect(registers).toEqual(['asking', 'commit', 'moved on', 'unasked', 'unclear'])
  })

  test('the witness came to every verdict', () => {
    const verdicts = all((found) => found.looks.map((state) => state.verdict))
    expect(verdicts).toEqual(['decided', 'lost-decision', 'no conclusion', 'open'])
  })

  test('recovery met what was settled, and what was forgotten', () => {
    const again = all((found) => found.recoveries.map((state) => state.registerAgain))
    expect(again).toEqual(expect.arrayContaining(['settled', 'gone']))
  })

  test.for([
    'D makes it settled',
    'P makes it deleted',
    'D makes it deleted',
    'D makes the epoch unlisted',
    'D executes the UPDATE of cleaner 1: already settled',
    'D executes the UPDATE of cleaner 1: settling, the answer is lost',
    'P executes the DELETE of cleaner 1: deleting commit, the answer is lost',
    'cleaner 2 finds no row to delete in P',
    'cleaner 2 sees the row in D: settled, unlisted',
    'cleaner 1 inserts its own row in P',
    'D ends the idle transaction of cleaner 1',
    'D fails over and loses nothing',
    'D fails over and loses what came after: gone',
    'D is set back to a backup: committed',
    'P loses its prepared branch',
    'P is set back: its branch is prepared again',
    'P is set back: its receipt is there again',
  ])('it happened: %s', (event) => {
    expect(explored.some((found) => found.events.has(event))).toBe(true)
  })
})
