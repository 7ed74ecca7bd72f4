/**
 * Owns: the kills of a process in a transaction over several systems.
 */
import { describe, expect } from 'vitest'
import { crashEverywhere } from './crash-suite.ts'
import type { Kind } from './message-names.ts'
import { PAIRS } from './pairs.ts'
import type { PairName } from './pairs.ts'

/** A decider that was left prepared is found so, and reported; no other is. */
export function crashPair(name: PairName, at?: readonly Kind[]): void {
  describe(name, () => {
    crashEverywhere({
      ...PAIRS[name],
      ...(at === undefined ? {} : { at }),
      check: ({ foundPrepared, leftPrepared }) => {
        const found = new Set(foundPrepared)
        expect([...found]).toEqual(leftPrepared.filter((each) => each === 'orders'))
      },
    })
  })
}
