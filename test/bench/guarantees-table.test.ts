import { expect, test } from 'vitest'
import { describeAdded, printLadder } from '../../bench/guarantees/table.ts'
import type { Round, Sample } from '../../bench/rounds.ts'

function sample(throughput: number, clientMicros: number): Sample {
  const rest = { transactions: 1, p50Ms: 1, p99Ms: 1, serverMicros: undefined }
  return { ...rest, throughput, clientMicros }
}

function printed(...results: readonly Round[]): readonly string[] {
  const setting = { addedMs: 0, atOnce: 16, rounds: results.length, turnMs: 600, roundTripMs: 0.05 }
  return printLadder({ ...setting, results })
}

test('a step stands beside the first, and adds to the one before, within each round', () => {
  // The machine was half as fast in the second round; what the steps add to each other stayed.
  const lines = printed(
    { unrecorded: sample(100, 10), 'with-time-out': sample(80, 15), 'with-marks': sample(50, 22) },
    { unrecorded: sample(50, 20), 'with-time-out': sample(40, 25), 'with-marks': sample(25, 32) },
  )
  expect(lines.slice(2)).toEqual([
    '  one decides, recorded nowhere    75                 –    1.00         15              –          –      –',
    '  + idle time-out                  60  0.80 (0.80–0.80)    1.00         20  +5 (+5 to +5)          –      –',
    '  + claim and receipt              38  0.50 (0.50–0.50)    1.00         27  +7 (+7 to +7)          –      –',
  ])
})

test('the order is that of the ladder, whoever had his turn first; one database stands alone', () => {
  const lines = printed({
    'assent-receipt': sample(60, 4),
    'bare-driver': sample(100, 2),
    'assent-alone': sample(90, 3),
    'with-settings': sample(10, 9),
  })
  const rows = lines.slice(2).map((line) => line.trim().split(/ {2,}/))
  expect(rows.map(([title, , ratio, , , added]) => [title, ratio, added])).toEqual([
    ['+ settings, deferred first', '–', '–'],
    ['(c) the bare driver', '–', '–'],
    ['Assent, one database', '0.90 (0.90–0.90)', '+1 (+1 to +1)'],
    ['Assent, with a receipt', '0.60 (0.60–0.60)', '+1 (+1 to +1)'],
  ])
})

test('what is added has a sign', () => {
  const added = { median: 3.4, lowerQuartile: -2.6, upperQuartile: 0.4 }
  expect(describeAdded(added)).toBe('+3 (−3 to 0)')
})
