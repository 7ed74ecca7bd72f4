/**
 * Owns: the few figures that stand for many.
 * Never: an average. One stall would move it.
 */

/** The middle, and between what half of the rounds lie. */
export interface Spread {
  readonly median: number
  readonly lowerQuartile: number
  readonly upperQuartile: number
}

/** The value below which the share `at` (0 to 1) of all values lies; NaN of nothing. */
export function quantile(values: readonly number[], at: number): number {
  const sorted = Float64Array.from(values).sort()
  const index = Math.ceil(at * sorted.length) - 1
  return sorted[Math.min(Math.max(index, 0), sorted.length - 1)] ?? NaN
}

/** Of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? NaN, sorted[Math.floor(middle)] ?? NaN]
  return (low + high) / 2
}

export function spread(values: readonly number[]): Spread {
  return {
    median: median(values),
    lowerQuartile: quantile(values, 0.25),
    upperQuartile: quantile(values, 0.75),
  }
}

/** A copy in random order. */
export function shuffled<T>(items: readonly T[]): readonly T[] {
  const left = [...items]
  const taken: T[] = []
  while (left.length > 0) taken.push(...left.splice(Math.floor(Math.random() * left.length), 1))
  return taken
}
