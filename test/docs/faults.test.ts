/**
 * docs/faults.md says only what is tested: its rows and the names of the tests, as the runner knows them,
 * are compared in both directions.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { read, root } from './markdown.ts'

/** The faults that must have a test: a row that was deleted is missed here. */
const MUST_BE_TESTED = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 27, 28],
  ...[29, 30, 31, 32, 33, 34, 35, 36, 37, 40, 41, 42, 43, 44, 45, 46, 47, 48, 51, 52, 53],
  ...[
    60, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 79, 80, 81, 82, 83, 84, 88,
    90,
  ],
  ...[91, 92, 93, 94, 95, 100, 101, 103, 110, 113, 114, 115, 116],
]

interface NamedTest {
  /** From the repository's root. */
  readonly file: string
  /** With the names of its groups, and with what `each` fills in. */
  readonly name: string
}

interface Row {
  readonly fault: number
  /** A part of a test's name, and the file in which it must be found. */
  readonly tests: readonly NamedTest[]
}

const rows = rowsOf(read('docs/faults.md'))
let all: readonly NamedTest[] = []

beforeAll(() => {
  // Not at the top: the runner that collects the names reads this file as well.
  const folder = mkdtempSync(path.join(tmpdir(), 'assent-names-'))
  try {
    all = testNames(path.join(folder, 'names.json'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('every fault that must be tested has exactly one row', () => {
  const listed = rows.map((row) => row.fault)
  expect(new Set(listed).size).toBe(listed.length)
  expect(MUST_BE_TESTED.filter((fault) => !listed.includes(fault))).toEqual([])
})

test('every row names tests that exist, carry its number, and are run', () => {
  const wrong = rows.flatMap(({ fault, tests }) =>
    tests.flatMap(({ file, name }) => {
      const found = all.filter((each) => each.file === file && each.name.includes(name))
      if (found.length === 0) return [`${fault}: no test in ${file} is named "${name}"`]
      const isNumbered = found.some((each) => faultsIn(each.name).includes(fault))
      return isNumbered ? [] : [`${fault}: "${name}" in ${file} does not carry its number`]
    }),
  )
  expect(wrong).toEqual([])
  for (const { tests } of rows) expect(tests.length).toBeGreaterThan(0)
})

test('every numbered test stands in the row of its fault', () => {
  const missing = all.flatMap(({ file, name }) =>
    faultsIn(name)
      .filter((fault) => !isListed(fault, file))
      .map((fault) => `${fault}: ${file}, "${name}"`),
  )
  expect(missing).toEqual([])
})

test('no test that the page names is switched off', () => {
  const files = new Set(rows.flatMap(({ tests }) => tests.map(({ file }) => file)))
  const switchedOff = /\b(?:test|describe)(?:\.\w+)*\.(?:skip|todo|only|fails)\b/
  expect([...files].filter((file) => switchedOff.test(read(file)))).toEqual([])
})

function isListed(fault: number, file: string): boolean {
  return rows.some((row) => row.fault === fault && row.tests.some((each) => each.file === file))
}

function faultsIn(name: string): readonly number[] {
  return [...name.matchAll(/\bfault (\d+)/g)].map(([, number]) => Number(number))
}

/** The rows of all tables: `| 45 | … | … | "part of a name" in [file](../test/…), [file](…) |`. */
function rowsOf(page: string): readonly Row[] {
  return [...page.matchAll(/^\| (\d+) \|.*\|(.*)\|$/gm)].map(([, fault, cell = '']) => ({
    fault: Number(fault),
    tests: [...cell.matchAll(/"([^"]+)" in ([^"]+)/g)].flatMap(([, name = '', links = '']) =>
      [...links.matchAll(/\]\(\.\.\/([^)\s]+)\)/g)].map(([, file = '']) => ({ name, file })),
    ),
  }))
}

/** The names of all tests, of test/full too: the runner collects them, and runs none. */
function testNames(output: string): readonly NamedTest[] {
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('VITEST'))
  const { status, stderr } = spawnSync(
    process.execPath,
    // One module graph for all files: nothing runs, so nothing can leak from one into another.
    [
      ...['node_modules/vitest/vitest.mjs', 'list', '--staticParse=false', '--no-isolate'],
      `--json=${output}`,
    ],
    { cwd: root, encoding: 'utf8', env: { ...Object.fromEntries(inherited), ASSENT_FULL: '1' } },
  )
  if (status !== 0) throw new Error(`vitest list ended with ${String(status)}: ${stderr}`)
  const listed = JSON.parse(readFileSync(output, 'utf8')) as readonly NamedTest[]
  return listed.map(({ file, name }) => ({ file: path.relative(root, file), name }))
}
