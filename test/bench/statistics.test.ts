import { expect, test } from 'vitest'
import { median, quantile, shuffled, spread } from '../../bench/statistics.ts'

test('a quantile is a value that was measured', () => {
  const hundred = shuffled(Array.from({ length: 100 }, (_, index) => index + 1))
  expect(quantile(hundred, 0.5)).toBe(50)
  expect(quantile(hundred, 0.99)).toBe(99)
  expect(quantile(hundred, 1)).toBe(100)
  expect(quantile([7], 0.99)).toBe(7)
})

test('the median of an even number is between the two in the middle', () => {
  expect(median([10, 1, 2])).toBe(2)
  expect(median([10, 1, 2, 4])).toBe(3)
  expect(spread([5, 1, 4, 2, 3])).toEqual({ median: 3, lowerQuartile: 2, upperQuartile: 4 })
})

test('numbers are sorted as numbers', () => {
  expect(median([100, 20, 3])).toBe(20)
})

test('shuffling keeps every item, and leaves the list alone', () => {
  const items = [1, 2, 3, 4, 5]
  expect([...shuffled(items)].sort()).toEqual(items)
  expect(items).toEqual([1, 2, 3, 4, 5])
})
