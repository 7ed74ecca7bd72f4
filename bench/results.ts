/**
 * Everything that a run of the bench found, and the ways of looking at it that tables and goals
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

/** By how much a contender's figure is above another's, round by round. */
export function difference(
  setting: SettingResult,
  name: ContenderName,
  figure: Figure,
  other: ContenderName,
): Spread | undefined {
  return compared(setting, name, figure, other, (own, its) => own - its)
}

/** A contender's figure over its base's, round by round: both ran moments apart. */
export function ratio(
  setting: SettingResult,
  name: ContenderName,
  figure: Figure,
  base: ContenderName = CONTENDERS[name].base,
): Spread | undefined {
  return compared(setting, name, figure, base, (own, its) => own / its)
}

function compared(
  { results }: SettingResult,
  name: ContenderName,
  figure: Figure,
  other: ContenderName,
  compare: (own: number, its: number) => number,
): Spread | undefined {
  const found = results.flatMap((round) => {
    const [own, its] = [round[name]?.[figure], round[other]?.[figure]]
    return own === undefined || its === undefined ? [] : [compare(own, its)]
  })
  return found.length === 0 ? undefined : spread(found)
}
