/**
 * Times as they are typed: 500ms, 60s, 5min, 1h.
 */
import { CommandError } from './exit-codes.ts'

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
}
const LONGEST_MS = 86_400_000

/** `60s`, `5min`, `500ms`, `1h`. @throws CommandError */
export function readDuration(flag: string, text: string): number {
  const [, number, unit = ''] = /^([0-9]{1,9})(ms|s|m|min|h)$/.exec(text) ?? []
  const ms = Number(number) * (UNIT_MS[unit] ?? NaN)
  if (ms >= 0 && ms <= LONGEST_MS) return ms
  throw new CommandError(
    'usage',
    `${flag} ${JSON.stringify(text.slice(0, 40))} was given; expected a time like 60s, 5min or 1h, of at most a day`,
  )
}
