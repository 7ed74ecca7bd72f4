/**
 * docs/operate/seeing.md names exactly what is published, printed and counted.
 */
import { expect, test } from 'vitest'
import { REPORT_FIELDS } from '../../src/engine/report-events.ts'
import { SPAN_FIELDS } from '../../src/platform/channels.ts'
import { DOUBTFUL_AFTER_MS, PERSON_AFTER_MS } from '../../src/seeing/health.ts'
import { METRICS, METRICS_TYPE } from '../../src/seeing/metrics.ts'
import { read, table } from './markdown.ts'

const page = read('docs/operate/seeing.md')
const names = (cell = ''): readonly string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, it = '']) => it)

test('every metric, with its type, its labels and its help', () => {
  const printed = table(page, '| metric | type | labels | what |').map(
    ([name, type, labels, help]) => ({ name: names(name)[0], type, labels: names(labels), help }),
  )
  expect(printed).toEqual(
    METRICS.map(({ name, type, labels, help }) => ({ name, type, labels, help })),
  )
  expect(page).toContain(METRICS_TYPE)
})

test.each([
  ['spans', '| channel | a span from … to … | carries |', SPAN_FIELDS],
  ['reports', '| channel | carries |', REPORT_FIELDS],
] as const)('every channel of %s, with what it carries', (_kind, header, fields) => {
  const printed = table(page, header).map((cells) => [names(cells[0])[0], names(cells.at(-1))])
  expect(printed).toEqual(
    Object.entries<readonly string[]>(fields).map(([name, carried]) => [
      `assent:${name}`,
      [...carried],
    ]),
  )
})

test('the bounds between ok and degraded', () => {
  const [, degraded = ''] = page.split('| `degraded` | ')
  expect(degraded).toContain(`for ${PERSON_AFTER_MS / 1_000} seconds`)
  expect(degraded).toContain(`for ${DOUBTFUL_AFTER_MS / 1_000} seconds`)
})
