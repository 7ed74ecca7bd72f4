/**
 * What Assent is meant to cost at most, and what was reached.
 *
 * Never: fails a run. A figure of one machine is to be looked at, not to be obeyed.
 */
import type { ContenderName } from './contenders.ts'
import { ratio } from './results.ts'
import type { Figure, Results } from './results.ts'
import type { SettingResult } from './rounds.ts'
import type { Spread } from './statistics.ts'

export interface Goal {
  readonly what: string
  readonly limit: string
  readonly reached: string
  readonly verdict: 'reached' | 'floor reached' | 'missed' | 'not measured'
}

interface Limit {
  readonly kind: 'at least' | 'at most'
  readonly goal: number
  readonly floor?: number
}

interface RatioGoal {
  readonly what: string
  readonly of: ContenderName
  readonly to: ContenderName
  readonly figure: Figure
  readonly atOnce: number
  readonly limit: Limit
}

const APPLIED = 'assent-applied'
const RATIOS: readonly RatioGoal[] = [
  {
    what: 'throughput, 16 at once, to (b)',
    ...{ of: APPLIED, to: 'by-hand', figure: 'throughput', atOnce: 16 },
    limit: { kind: 'at least', goal: 0.95, floor: 0.85 },
  },
  {
    what: 'throughput, 16 at once, to (b′)',
    ...{ of: APPLIED, to: 'by-hand-awaited', figure: 'throughput', atOnce: 16 },
    limit: { kind: 'at least', goal: 1.05 },
  },
  {
    what: 'p50 of decided, 1 at once, to (b)',
    ...{ of: 'assent-decided', to: 'by-hand', figure: 'p50Ms', atOnce: 1 },
    limit: { kind: 'at most', goal: 1.1 },
  },
  {
    what: 'p50 of applied, 1 at once, to (b)',
    ...{ of: APPLIED, to: 'by-hand', figure: 'p50Ms', atOnce: 1 },
    limit: { kind: 'at most', goal: 1.25 },
  },
  ...[1, 16].map((atOnce): RatioGoal => ({
    what: `one database, throughput, ${atOnce} at once, to (c)`,
    ...{ of: 'assent-alone', to: 'bare-driver', figure: 'throughput', atOnce },
    limit: { kind: 'at least', goal: 0.95 },
  })),
]
const FORCED_WRITES: Limit = { kind: 'at most', goal: 3 }
/** Beginning anew reads an epoch durably, once: a share of a write over the counted transactions. */
const COUNTED_TOLERANCE = 0.05
const IDLE_PERCENT: Limit = { kind: 'at most', goal: 0.5 }

export function judge(results: Results): readonly Goal[] {
  // Goals are for servers next door; what is added to a round trip is reported beside them.
  const nearest = results.settings.filter(({ addedMs }) => addedMs === 0)
  return [...RATIOS.map((goal) => judgeRatio(goal, nearest)), forcedWrites(results), idle(results)]
}

function judgeRatio(goal: RatioGoal, settings: readonly SettingResult[]): Goal {
  const setting = settings.find(({ atOnce }) => atOnce === goal.atOnce)
  const found = setting && ratio(setting, goal.of, goal.figure, goal.to)
  return {
    what: goal.what,
    limit: describe(goal.limit),
    reached: found === undefined ? '' : describeSpread(found),
    verdict: verdictOn(found?.median, goal.limit),
  }
}

function forcedWrites({ counts }: Results): Goal {
  const [own, other] = [counts[APPLIED]?.forcedWrites, counts['by-hand']?.forcedWrites]
  const against = other === undefined ? '' : ` against ${other.toFixed(1)} of (b)`
  return {
    what: 'forced writes of a transaction',
    limit: describe(FORCED_WRITES),
    reached: own === undefined ? '' : `${own.toFixed(1)}${against}`,
    verdict: verdictOn(own === undefined ? undefined : own - COUNTED_TOLERANCE, FORCED_WRITES),
  }
}

function idle({ idle: found }: Results): Goal {
  const server = found?.serverPercent
  const beside = server === undefined ? '' : `, its sessions ${server.toFixed(2)} %`
  return {
    what: 'idle recovery over ten databases, % of a CPU',
    limit: describe(IDLE_PERCENT),
    reached: found === undefined ? '' : `${found.clientPercent.toFixed(2)} %${beside}`,
    verdict: verdictOn(found?.clientPercent, IDLE_PERCENT),
  }
}

function verdictOn(value: number | undefined, limit: Limit): Goal['verdict'] {
  if (value === undefined) return 'not measured'
  const keeps = (bound: number): boolean =>
    limit.kind === 'at least' ? value >= bound : value <= bound
  if (keeps(limit.goal)) return 'reached'
  return limit.floor !== undefined && keeps(limit.floor) ? 'floor reached' : 'missed'
}

function describe({ kind, goal, floor }: Limit): string {
  const sign = kind === 'at least' ? '≥' : '≤'
  return `${sign} ${goal}${floor === undefined ? '' : ` (floor ${floor})`}`
}

export function describeSpread({ median, lowerQuartile, upperQuartile }: Spread): string {
  return `${median.toFixed(2)} (${lowerQuartile.toFixed(2)}–${upperQuartile.toFixed(2)})`
}
