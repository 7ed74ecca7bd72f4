/**
 * Everything that a run of the bench found, and the two ways of looking at it that tables and goals
 * share.
 */
import { CONTENDERS } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import type { Counts } from './counters.ts'
import type { Environment } from './environment.ts'
import type { Idle } from './idle.ts'
import type { SettingResult } from './rounds.ts'
import { median, spread } from './statistics.ts'
import type { Spread } from './statistics.ts'

export interface Results {
  readonly environment: Environment
  readonly counts: Readonly<Partial<Record<ContenderName, Counts>>>
  readonly settings: readonly SettingResult[]
  readonly idle: Idle | undefined
}

export type Figure = 'throughput' | 'p50Ms' | 'p99Ms' | 'clientMicros' | 'serverMicros'

/** A contender's middle round; undefined if it was not measured. */
export function middle(
  { results }: SettingResult,
  name: ContenderName,
  figure: Figure,
): number | undefined {
  const values = results
    .map((round) => round[name]?.[figure])
    .filter((value) => value !== undefined)
  return values.length === 0 ? undefined : median(values)
}

/** A contender's figure over its base's, round by round: both ran moments apart. */
export function ratio(
  { results }: SettingResult,
  name: ContenderName,
  figure: Figure,
  base: ContenderName = CONTENDERS[name].base,
): Spread | undefined {
  const ratios = results.flatMap((round) => {
    const [own, other] = [round[name]?.[figure], round[base]?.[figure]]
    return own === undefined || other === undefined ? [] : [own / other]
  })
  return ratios.length === 0 ? undefined : spread(ratios)
}
