/**
 * OpenMetrics text, version 1.0.0.
 *
 * Owns: the grammar: names, labels, numbers, and the end.
 * Never: knows what is measured.
 */

/** `participant: 'stock'`. */
export type Labels = Readonly<Record<string, string>>

export interface Family {
  /** Without the suffix of its samples. */
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'info'
  /** In which the name ends, if it has one. */
  readonly unit?: string
  readonly help: string
}

export type Sample =
  | { readonly labels: Labels; readonly value: number }
  | { readonly labels: Labels; readonly histogram: HistogramValue }

export interface HistogramValue {
  /** Of each bucket alone; one more than there are bounds. */
  readonly counts: readonly number[]
  readonly sumSeconds: number
}

const SUFFIX = { counter: '_total', gauge: '', histogram: '', info: '_info' } as const

/** One family with its samples, each on a line. */
export function familyText(
  { name, type, unit, help }: Family,
  samples: readonly Sample[],
  bounds: readonly number[],
): string {
  const lines = [`# TYPE ${name} ${type}`]
  if (unit !== undefined) lines.push(`# UNIT ${name} ${unit}`)
  lines.push(`# HELP ${name} ${escaped(help)}`)
  for (const sample of samples) {
    if ('histogram' in sample) lines.push(...histogramLines(name, sample, bounds))
    else lines.push(line(name + SUFFIX[type], sample.labels, sample.value))
  }
  return `${lines.join('\n')}\n`
}

export const END = '# EOF\n'

function histogramLines(
  name: string,
  { labels, histogram }: Extract<Sample, { histogram: HistogramValue }>,
  bounds: readonly number[],
): readonly string[] {
  let count = 0
  const lines = histogram.counts.map((inBucket, at) => {
    count += inBucket
    const bound = bounds[at]
    const le = bound === undefined ? '+Inf' : boundText(bound)
    return line(`${name}_bucket`, { ...labels, le }, count)
  })
  return [
    ...lines,
    line(`${name}_count`, labels, count),
    line(`${name}_sum`, labels, histogram.sumSeconds),
  ]
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`
}

/** The specification's canonical form: `1.0`, not `1`. */
function boundText(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : String(bound)
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
