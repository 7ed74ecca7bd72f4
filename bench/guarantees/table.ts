/**
 * Owns: how the ladder is printed: each step beside the first, and what it adds to the one before.
 */
import { CONTENDERS, GUARANTEE_NAMES } from '../contenders.ts'
import { describeSpread } from '../goals.ts'
import { difference, middle, ratio } from '../results.ts'
import type { Figure } from '../results.ts'
import type { SettingResult } from '../rounds.ts'
import type { Spread } from '../statistics.ts'
import { NOTHING, describeSetting, fixed, layOut, numbers } from '../table.ts'

type GuaranteeName = (typeof GUARANTEE_NAMES)[number]

/** To whom each adds. Both of Assent's stand beside the same step: they differ in when they answer. */
const BEFORE: Readonly<Record<GuaranteeName, GuaranteeName | 'nobody'>> = {
  unrecorded: 'nobody',
  'with-time-out': 'unrecorded',
  'with-marks': 'with-time-out',
  'with-epoch': 'with-marks',
  'with-settings': 'with-epoch',
  'with-proof': 'with-settings',
  'on-demand': 'with-proof',
  'assent-decided': 'with-proof',
  'assent-applied': 'with-proof',
  'bare-driver': 'nobody',
  'assent-alone': 'bare-driver',
  'assent-receipt': 'assent-alone',
}

export function printLadder(setting: SettingResult): readonly string[] {
  const rows = GUARANTEE_NAMES.filter((name) => setting.results[0]?.[name] !== undefined)
  const header = ['', 'tx/s', 'ratio', 'p50 ms', 'client µs', 'added', 'server µs', 'added']
  return [
    describeSetting(setting),
    ...layOut(
      header,
      rows.map((name) => rowOf(setting, name)),
      ['left', ...numbers(header.length - 1)],
    ),
  ]
}

function rowOf(setting: SettingResult, name: GuaranteeName): readonly string[] {
  const first = CONTENDERS[name].writes === 'both databases' ? 'unrecorded' : 'bare-driver'
  const before = BEFORE[name]
  const toFirst = ratio(setting, name, 'throughput', first)
  const added = (figure: Figure): string => {
    const found = before === 'nobody' ? undefined : difference(setting, name, figure, before)
    return found === undefined ? NOTHING : describeAdded(found)
  }
  return [
    CONTENDERS[name].title,
    fixed(middle(setting, name, 'throughput'), 0),
    name === first || toFirst === undefined ? NOTHING : describeSpread(toFirst),
    fixed(middle(setting, name, 'p50Ms'), 2),
    fixed(middle(setting, name, 'clientMicros'), 0),
    added('clientMicros'),
    fixed(middle(setting, name, 'serverMicros'), 0),
    added('serverMicros'),
  ]
}

/** `+23 (+15 to +31)`: a dash between them would be taken for a sign. */
export function describeAdded({ median, lowerQuartile, upperQuartile }: Spread): string {
  return `${signed(median)} (${signed(lowerQuartile)} to ${signed(upperQuartile)})`
}

function signed(value: number): string {
  const whole = Math.round(value)
  if (whole === 0) return '0'
  return whole < 0 ? `−${-whole}` : `+${whole}`
}
