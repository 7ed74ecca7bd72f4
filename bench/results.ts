/**
 * Everything that a run of the bench found, and the two ways of looking at it that tables and goals
 * share.
 */
import { CONTENDERS } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import type { Counts } from './counters.ts'
import type { Environment } from './environment.ts'
import type { Idle } from './idle.ts'
import type { Sample, SettingResult } from './rounds.ts'
import { median, spread } from './statistics.ts'
import type { Spread } from './statistics.ts'

export interface Results {
  readonly environment: Environment
  readonly counts: Readonly<Partial<Record<ContenderName, Counts>>>
  readonly settings: readonly SettingResult[]
  readonly idle: Idle | undefined
}

export type Figure = 'throughput' | 'p50Ms' | 'p99Ms' | 'cpuMicros'

/** A contender's middle round; undefined if it was not measured. */
export function middle(
  { results }: SettingResult,
  name: ContenderName,
  figure: Figure,
): number | undefined {
  const samples = results.map((round) => round[name]).filter((sample) => sample !== undefined)
  return samples.length === 0 ? undefined : median(samples.map((sample) => sample[figure]))
}

/** A contender's figure over its base's, round by round: both ran moments apart. */
export function ratio(
  { results }: SettingResult,
  name: ContenderName,
  figure: Figure,
  base: ContenderName = CONTENDERS[name].base,
): Spread | undefined {
  const ratios = results.flatMap((round) => {
    const [own, other]: (Sample | undefined)[] = [round[name], round[base]]
    return own === undefined || other === undefined ? [] : [own[figure] / other[figure]]
  })
  return ratios.length === 0 ? undefined : spread(ratios)
}
