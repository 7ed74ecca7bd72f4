/**
 * What the demonstration would say if something went wrong: it can fail.
 */
import { expect, test } from 'vitest'
import { judge } from '../../src/cli/demo/verdict.ts'
import type { Told } from '../../src/cli/demo/verdict.ts'

/** Two databases with a hundred coins each, and what is in them. */
function judged(
  orders: readonly string[],
  stock: readonly string[],
  told: readonly Told[] = [],
  coins: readonly [number, number] = [90, 110],
): readonly string[] {
  const shown = new Map([
    ['orders', { coins: coins[0], moves: new Set(orders) }],
    ['stock', { coins: coins[1], moves: new Set(stock) }],
  ])
  return judge(shown, told, 200).disagreements
}

test('a transfer that is in both databases agrees, whatever its caller knew of it', () => {
  for (const outcome of ['committed', 'unknown', 'nothing'] as const) {
    expect(judged(['a'], ['a'], [{ id: 'a', outcome }])).toEqual([])
  }
  expect(judged(['a'], ['a'])).toEqual([])
})

test('one that is nowhere agrees unless its caller was told that it was committed', () => {
  for (const outcome of ['aborted', 'unknown', 'nothing'] as const) {
    expect(judged([], [], [{ id: 'a', outcome }])).toEqual([])
  }
  const told: readonly Told[] = [{ id: 'a', outcome: 'committed' }]
  expect(judged([], [], told)).toEqual(['a was told committed, and is nowhere'])
})

test('one that was told aborted and is there, one in one database alone, and a coin too few are told', () => {
  const told: readonly Told[] = [{ id: 'a', outcome: 'aborted' }]
  expect(judged(['a'], ['a'], told)).toEqual(['a was told aborted, and is there'])
  expect(judged(['a'], [])).toEqual(['a is in orders alone'])
  expect(judged(['a'], ['a'], [], [90, 109])).toEqual(['200 coins became 199'])
})
