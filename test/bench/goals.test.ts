import { describe, expect, test } from 'vitest'
import { judge } from '../../bench/goals.ts'
import { ratio } from '../../bench/results.ts'
import type { Results } from '../../bench/results.ts'
import type { Round, Sample, SettingResult } from '../../bench/rounds.ts'

function sample(throughput: number): Sample {
  const p50Ms = 1_000 / throughput
  return { transactions: 1, throughput, p50Ms, p99Ms: p50Ms, clientMicros: 1, serverMicros: 1 }
}

function setting(atOnce: number, results: readonly Round[], addedMs = 0): SettingResult {
  return { addedMs, atOnce, rounds: results.length, turnMs: 1, roundTripMs: 1, results }
}

function results(...settings: readonly SettingResult[]): Results {
  return { environment: {} as Results['environment'], counts: {}, settings, idle: undefined }
}

/** The verdict on Assent's throughput at 16 at once. */
function verdictOn(...settings: readonly SettingResult[]): string | undefined {
  return judge(results(...settings)).find(({ what }) => what === 'throughput, 16 at once, to (b)')
    ?.verdict
}

describe('ratios', () => {
  test('are taken within a round, and the middle of them is told', () => {
    // The machine was three times as fast in the second round; the contenders kept their ratio.
    const rounds = [
      { 'by-hand': sample(100), 'assent-applied': sample(90) },
      { 'by-hand': sample(300), 'assent-applied': sample(240) },
      { 'by-hand': sample(100), 'assent-applied': sample(100) },
    ]
    expect(ratio(setting(16, rounds), 'assent-applied', 'throughput')).toEqual({
      median: 0.9,
      lowerQuartile: 0.8,
      upperQuartile: 1,
    })
  })

  test('are not made up for a contender that was left out', () => {
    const alone = setting(16, [{ 'assent-applied': sample(90) }])
    expect(ratio(alone, 'assent-applied', 'throughput')).toBeUndefined()
    expect(verdictOn(alone)).toBe('not measured')
  })
})

describe('goals', () => {
  test.each([
    [95, 'reached'],
    [94, 'floor reached'],
    [85, 'floor reached'],
    [84, 'missed'],
  ])('%d %% of the throughput by hand: %s', (own, verdict) => {
    const round = { 'by-hand': sample(100), 'assent-applied': sample(own) }
    expect(verdictOn(setting(16, [round]))).toBe(verdict)
  })

  test('a longer p50 is worse, not better', () => {
    const round = {
      'by-hand': sample(100),
      'assent-applied': sample(50),
      'assent-decided': sample(99),
    }
    const verdicts = judge(results(setting(1, [round]))).filter(({ what }) =>
      what.startsWith('p50'),
    )
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(['reached', 'missed'])
  })

  test('are for servers next door: nothing added to a round trip', () => {
    const round = { 'by-hand': sample(100), 'assent-applied': sample(100) }
    expect(verdictOn(setting(16, [round], 10))).toBe('not measured')
  })

  test('a read of the epoch among the counted transactions is no forced write too many', () => {
    const counts = (forcedWrites: number) => ({
      'assent-applied': { messages: 8, inARow: 8, forcedWrites, walBytes: 1 },
    })
    const verdict = (forcedWrites: number): string | undefined =>
      judge({ ...results(), counts: counts(forcedWrites) }).find(({ what }) =>
        what.startsWith('forced writes'),
      )?.verdict
    expect([3.02, 3.5, 4].map(verdict)).toEqual(['reached', 'missed', 'missed'])
  })
})
