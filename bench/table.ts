/**
 * Owns: how results are printed: the environment, one table for each setting, counts, goals.
 */
import { POOL_SIZE } from './contender.ts'
import { CONTENDERS } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import type { Environment } from './environment.ts'
import { describeSpread, judge } from './goals.ts'
import { middle, ratio } from './results.ts'
import type { Results } from './results.ts'
import type { SettingResult } from './rounds.ts'

type Alignment = 'left' | 'right'
export const NOTHING = '–'

export function printEnvironment(environment: Environment): readonly string[] {
  const { disk, settings } = environment
  const diskLine =
    disk === 'not ours to look at'
      ? 'servers were given: their disks are not ours to look at'
      : `${disk.fileSystem} on ${disk.device}, fdatasync ${disk.syncMicros.p50.toFixed(0)} µs ` +
        `(p99 ${disk.syncMicros.p99.toFixed(0)} µs)`
  const named = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  return [
    `${environment.date} · Node ${environment.node} · pg ${environment.driver} · ` +
      `PostgreSQL ${environment.postgres}, two servers`,
    `${environment.cpus} · ${environment.memoryGiB} GiB · load ${environment.load.toFixed(2)}`,
    `data: ${diskLine}`,
    named.slice(0, 4).join(' · '),
    named.slice(4).join(' · '),
    ...mariadbLines(environment),
    `pools of ${POOL_SIZE} connections for everyone`,
  ]
}

function mariadbLines({ mariadb }: Environment): readonly string[] {
  if (mariadb === undefined) return []
  const { version, driver, ...durable } = mariadb
  const named = Object.entries(durable).map(([name, value]) => `${name} = ${value}`)
  return [`MariaDB ${version} · mysql2 ${driver} · ${named.join(' · ')}`]
}

/** In the order of `names`. */
export function printSetting(
  setting: SettingResult,
  names: readonly ContenderName[],
): readonly string[] {
  const measured = names.filter((name) => setting.results[0]?.[name] !== undefined)
  const rows = measured.map((name) => {
    const { title: contender, base } = CONTENDERS[name]
    const ratioOf = (figure: 'throughput' | 'p50Ms'): string => {
      const found = ratio(setting, name, figure)
      return name === base || found === undefined ? NOTHING : describeSpread(found)
    }
    return [
      contender,
      fixed(middle(setting, name, 'throughput'), 0),
      ratioOf('throughput'),
      fixed(middle(setting, name, 'p50Ms'), 2),
      ratioOf('p50Ms'),
      fixed(middle(setting, name, 'p99Ms'), 2),
      fixed(middle(setting, name, 'clientMicros'), 0),
      fixed(middle(setting, name, 'serverMicros'), 0),
    ]
  })
  const header = ['', 'tx/s', 'ratio', 'p50 ms', 'ratio', 'p99 ms', 'client µs', 'server µs']
  return [describeSetting(setting), ...layOut(header, rows, ['left', ...numbers(7)])]
}

export function describeSetting(setting: SettingResult): string {
  const { addedMs, atOnce, roundTripMs, results, turnMs } = setting
  const added = addedMs === 0 ? 'nothing added to a round trip' : `${addedMs} ms added to each`
  return (
    `${atOnce} at once, ${added} (SELECT 1 takes ${roundTripMs.toFixed(2)} ms), ` +
    `${results.length} × ${turnMs / 1_000} s for each contender`
  )
}

/** In the order of `names`. */
export function printCounts(
  counts: Results['counts'],
  names: readonly ContenderName[],
): readonly string[] {
  const rows = names.flatMap((name) => {
    const found = counts[name]
    if (found === undefined) return []
    return [
      [
        CONTENDERS[name].title,
        found.messages.toFixed(1),
        found.inARow.toFixed(1),
        found.forcedWrites.toFixed(1),
        found.walBytes.toFixed(0),
      ],
    ]
  })
  const header = ['', 'messages', 'in a row', 'forced writes', 'log bytes']
  return ['Counted, one at a time', ...layOut(header, rows, ['left', ...numbers(4)])]
}

export function printGoals(results: Results): readonly string[] {
  const rows = judge(results).map(({ what, limit, reached, verdict }) => [
    what,
    limit,
    reached === '' ? NOTHING : reached,
    verdict,
  ])
  const alignments: readonly Alignment[] = ['left', 'left', 'left', 'left']
  return ['Goals', ...layOut(['', 'goal', 'measured', ''], rows, alignments)]
}

export function fixed(value: number | undefined, digits: number): string {
  return value === undefined ? NOTHING : value.toFixed(digits)
}

export function numbers(count: number): readonly Alignment[] {
  return Array.from({ length: count }, () => 'right')
}

export function layOut(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[],
): readonly string[] {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) =>
    `  ${row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return alignments[column] === 'right' ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')}`.trimEnd(),
  )
}
