/**
 * Breaks the commit path on purpose, one thing at a time, and names the tests that notice.
 *
 * Owns: breaking, and telling. What is broken is listed beside it: every fact of the ordering tables, and for
 * each system the whitelist of definite answers and the rules that a reader would ask about first.
 * Promises: works on a copy; ends with exit code 1 if something broken went unnoticed.
 *
 *   node tools/run.mjs tools/break.ts             everything (long)
 *   node tools/run.mjs tools/break.ts hidden      only what has "hidden" in its name
 *   … hidden test/pg/bad-input                    and only against these tests
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Breakage } from './breakages/breakage.ts'
import { MYSQL } from './breakages/mysql.ts'
import { orderingBreakages } from './breakages/ordering.ts'
import { POSTGRES } from './breakages/postgres.ts'

const root = path.resolve(import.meta.dirname, '..')

function attempt(breakage: Breakage): readonly string[] | 'can’t be applied' {
  const copy = mkdtempSync(path.join(tmpdir(), 'assent-break-'))
  try {
    for (const entry of ['src', 'test', 'harness', 'demo', 'package.json', 'tsconfig.json']) {
      cpSync(path.join(root, entry), path.join(copy, entry), { recursive: true })
    }
    cpSync(path.join(root, 'vitest.config.ts'), path.join(copy, 'vitest.config.ts'))
    symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'))
    const file = path.join(copy, breakage.file)
    const source = readFileSync(file, 'utf8')
    if (!source.includes(breakage.find)) return 'can’t be applied'
    writeFileSync(
      file,
      source.replace(breakage.find, () => breakage.replace),
    )
    return failedTests(copy, breakage.tests)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function failedTests(copy: string, tests: readonly string[]): readonly string[] {
  const report = path.join(copy, 'report.json')
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs')
  const args = [vitest, 'run', ...tests, '--reporter=json', `--outputFile=${report}`]
  // Some of them are among those that take long.
  const env = { ...process.env, ASSENT_FULL: '1' }
  spawnSync(process.execPath, args, { cwd: copy, env, encoding: 'utf8', timeout: 600_000 })
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: {
      name: string
      status: string
      assertionResults: { fullName: string; status: string }[]
    }[]
  }
  return testResults.flatMap((file) => {
    const failed = file.assertionResults.filter((test) => test.status === 'failed')
    const where = path.relative(copy, file.name)
    if (failed.length === 0 && file.status === 'failed') return [`${where}: could not run`]
    return failed.map((test) => `${where}: ${test.fullName}`)
  })
}

const [, , name = '', ...only] = process.argv
const wanted = name.toLowerCase()
let unnoticed = 0
for (const breakage of [...POSTGRES, ...MYSQL, ...orderingBreakages()]) {
  if (!breakage.name.toLowerCase().includes(wanted)) continue
  const failed = attempt(only.length === 0 ? breakage : { ...breakage, tests: only })
  if (failed.length === 0 || typeof failed === 'string') unnoticed += 1
  const noticed = typeof failed === 'string' ? failed : (failed[0] ?? 'NOTHING NOTICED')
  const more = typeof failed === 'string' || failed.length < 2 ? '' : ` (+${failed.length - 1})`
  console.log(`${breakage.name}\n    ${noticed}${more}`)
}
process.exitCode = unnoticed === 0 ? 0 : 1
