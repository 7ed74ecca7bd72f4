/**
 * A strict reader of OpenMetrics 1.0.0 text, as far as Assent writes it: anything else is an error.
 */
import { expect } from 'vitest'

export interface ReadFamily {
  readonly type: string
  readonly help: string
  readonly unit: string | undefined
  readonly samples: ReadonlyMap<string, number>
}

const NAME = '[a-z][a-z0-9_]*'
const LABELS = String.raw`\{(?:[a-z][a-z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,(?!\})|(?=\})))+\}`
const SAMPLE = new RegExp(String.raw`^(${NAME})(${LABELS})? (-?[0-9.]+(?:e[-+]?[0-9]+)?)$`)
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ['_total'],
  gauge: [''],
  info: ['_info'],
  histogram: ['_bucket', '_count', '_sum'],
}

export function readOpenMetrics(text: string): ReadonlyMap<string, ReadFamily> {
  expect(text.endsWith('\n# EOF\n')).toBe(true)
  const families = new Map<string, ReadFamily>()
  for (const block of text.slice(0, -'# EOF\n'.length).split(/^(?=# TYPE )/m)) {
    const lines = block.trimEnd().split('\n')
    const [, name = '', type = ''] = must(/^# TYPE ([a-z_]+) ([a-z]+)$/, lines.shift())
    expect(families.has(name)).toBe(false)
    const isUnit = lines[0]?.startsWith('# UNIT') === true
    const unit = isUnit
      ? must(new RegExp(`^# UNIT ${name} ([a-z]+)$`), lines.shift())[1]
      : undefined
    if (unit !== undefined) expect(name.endsWith(`_${unit}`)).toBe(true)
    const [, help = ''] = must(new RegExp(`^# HELP ${name} (.+)$`), lines.shift())
    const samples = new Map<string, number>()
    for (const line of lines) {
      const [, sample = '', labels = '', value] = must(SAMPLE, line)
      const suffix = sample.slice(name.length)
      expect(sample.startsWith(name) && SUFFIXES[type]?.includes(suffix)).toBe(true)
      expect(samples.has(sample + labels)).toBe(false)
      samples.set(sample + labels, Number(value))
    }
    if (type === 'histogram') checkHistograms(samples)
    families.set(name, { type, help, unit, samples })
  }
  return families
}

/** Buckets rise, and the last one holds all that were counted. */
function checkHistograms(samples: ReadonlyMap<string, number>): void {
  const last = new Map<string, number>()
  for (const [key, value] of samples) {
    const series = key
      .replace(/,?le="[^"]*"/, '')
      .replace('_bucket', '')
      .replace('{}', '')
    if (key.includes('_bucket')) {
      expect(value).toBeGreaterThanOrEqual(last.get(series) ?? 0)
      last.set(series, value)
    } else if (key.includes('_count')) {
      expect(value).toBe(last.get(series.replace('_count', '')))
      expect(samples.has(key.replace('_count', '_sum'))).toBe(true)
    }
  }
}

function must(pattern: RegExp, line: string | undefined): RegExpExecArray {
  const match = pattern.exec(line ?? '')
  if (match === null) throw new Error(`not OpenMetrics: ${String(line)}`)
  return match
}
