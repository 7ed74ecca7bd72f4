/**
 * Explorations of the shipped rules, as the tests run them.
 */
import { describe, expect, test } from 'vitest'
import type { Bounds } from './bounds.ts'
import { describeExploration } from './explore.ts'
import { exploreProtocol } from './model.ts'
import type { Explored } from './model.ts'
import { SHIPPED } from './rules.ts'

/** Drains what can be reached within the bounds: every promise must be kept. */
export function drainShipped(name: string, bounds: Bounds): Explored {
  const found = exploreProtocol(SHIPPED, bounds)
  console.log(describeExploration(name, found))
  expect(found.violation).toBeUndefined()
  expect(found.drained).toBe(true)
  return found
}

/** Drains each in a test of its own. What they have found is there once these have run. */
export function drainEach(all: Readonly<Record<string, Bounds>>): readonly Explored[] {
  const explored: Explored[] = []
  describe('every reachable world keeps every promise', () => {
    test.for(Object.entries(all))('%s', ([name, bounds]) => {
      explored.push(drainShipped(name, bounds))
    })
  })
  return explored
}

/** What all of them together have seen, sorted and each once. */
export function seenIn(
  explored: readonly Explored[],
  pick: (found: Explored) => readonly string[],
): readonly string[] {
  return [...new Set(explored.flatMap(pick))].sort()
}
