/**
 * Breaks the commit path on purpose, one thing at a time, and names the tests that notice.
 *
 * Owns: the list of what is broken. Every fact of the ordering table, every row of the whitelist of
 * definite answers, and the rules that a reader would ask about first.
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
import {
  FORGETTING_ORDERING,
  ONE_PHASE_ORDERING,
  RECOVERY_ORDERING,
  TWO_PHASE_ORDERING,
  WITNESS_ORDERING,
} from '../src/protocol/ordering.ts'

interface Breakage {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  /** Which tests to run: on real servers where the breakage can be seen there. */
  readonly tests: readonly string[]
}

const root = path.resolve(import.meta.dirname, '..')
const MODEL = [
  'test/model/machines',
  'test/model/faults',
  'test/model/properties',
  'test/model/forgetting-properties',
]
const REAL = ['test/contract', 'test/pg']

/** Each fact of each row of the ordering tables, taken away. */
function orderingBreakages(): readonly Breakage[] {
  const tables: Record<string, Record<string, { readonly after: readonly string[] }>> = {
    TWO_PHASE_ORDERING,
    ONE_PHASE_ORDERING,
    RECOVERY_ORDERING,
    FORGETTING_ORDERING,
    WITNESS_ORDERING,
  }
  const file = 'src/protocol/ordering.ts'
  const source = readFileSync(path.join(root, file), 'utf8')
  return Object.entries(tables).flatMap(([table, rows]) => {
    const start = source.indexOf(`export const ${table}`)
    return Object.entries(rows).flatMap(([message, row]) =>
      row.after.map((fact) => {
        const key = /^[a-z]+$/.test(message) ? message : `'${message}'`
        const rowStart = source.indexOf(`\n  ${key}: {`, start)
        const rowEnd = source.indexOf('\n  },', rowStart)
        const find = source.slice(rowStart, rowEnd)
        const replace = find.replace(new RegExp(`'${fact}',?\\s*`), '')
        return { name: `${table} ${message}: without "${fact}"`, file, find, replace, tests: MODEL }
      }),
    )
  })
}

const INTAKE = 'src/systems/pg/intake.ts'
const ANSWERS = 'src/systems/pg/answers.ts'
const OTHERS: readonly Breakage[] = [
  {
    name: 'intake: an answer is recognised in the middle of a message',
    file: INTAKE,
    find: 'known !== undefined && this.#framing.isBetween && startsWith',
    replace: 'known !== undefined && startsWith',
    tests: ['test/pg/intake'],
  },
  {
    name: 'intake: an answer is recognised before the place is known',
    file: INTAKE,
    find: "'guessed' | 'known' = 'guessed'",
    replace: "'guessed' | 'known' = 'known'",
    tests: ['test/pg/intake'],
  },
  {
    name: 'intake: what is expected stays expected behind other answers',
    file: INTAKE,
    find: '    this.#awaited = undefined\n',
    replace: '',
    tests: ['test/pg/intake'],
  },
  {
    name: 'intake: a piece is taken for an answer by its beginning',
    file: INTAKE,
    find: 'bytes.length >= length && bytes.compare(beginning, 0, length, 0, length) === 0',
    replace: 'bytes.compare(beginning, 0, Math.min(length, bytes.length), 0, bytes.length) === 0',
    tests: ['test/pg/intake'],
  },
  {
    name: 'forgetting: a deletion that finds nothing writes nothing',
    file: 'src/systems/pg/memory.ts',
    find: 'await this.#commit([statement, this.#ownWrite()])',
    replace: 'await this.#commit([statement])',
    tests: ['test/pg/forgetting'],
  },
  {
    name: 'whitelist: the tag ROLLBACK is taken as yes',
    file: ANSWERS,
    find: "answer: 'no',\n    means: 'PREPARE or COMMIT of a failed",
    replace: "answer: 'yes',\n    means: 'PREPARE or COMMIT of a failed",
    tests: REAL,
  },
  {
    name: 'whitelist: without the row "tag ROLLBACK is a no"',
    file: ANSWERS,
    find: "reply.error === undefined && reply.tags.at(-1) === 'ROLLBACK'",
    replace: 'reply.error === undefined && reply.tags.length > 999',
    tests: REAL,
  },
  {
    name: 'whitelist: a yes without looking at the tags',
    file: ANSWERS,
    find: '      sameTags(reply.tags, expected.tags) &&\n',
    replace: '',
    tests: REAL,
  },
  {
    name: 'whitelist: a yes without looking at the status',
    file: ANSWERS,
    find: '      reply.status === expected.status &&\n',
    replace: '',
    tests: REAL,
  },
  {
    name: 'whitelist: a yes in spite of a warning',
    file: ANSWERS,
    find: ' &&\n      reply.warnings.every((warning) => warning.during !== expected.decides)',
    replace: '',
    tests: REAL,
  },
  {
    name: 'whitelist: without the row "the claim found no such epoch"',
    file: ANSWERS,
    find: "reply.tags.at(-1) === 'INSERT 0 0'",
    replace: "reply.tags.at(-1) === 'never'",
    tests: REAL,
  },
  {
    name: 'whitelist: without the row "an error before the statement that decides"',
    file: ANSWERS,
    find: "(expected.decides === 'none' || reply.tags.length < expected.decides)",
    replace: "expected.decides === 'nothing'",
    tests: REAL,
  },
  {
    name: 'whitelist: without the row "the deciding statement failed"',
    file: ANSWERS,
    find: 'reply.tags.length === expected.decides &&',
    replace: 'reply.tags.length > 999 &&',
    tests: REAL,
  },
  {
    name: 'whitelist: an error of the server’s own trouble is taken as a no',
    file: ANSWERS,
    find: "return code === '40003' ||",
    replace: 'return false &&',
    tests: REAL,
  },
  {
    name: 'whitelist: a lost connection is taken as a no',
    file: ANSWERS,
    find: "if (reply.kind === 'lost') return { answer: 'unknown', cause: reply.cause }",
    replace: "if (reply.kind === 'lost') return { answer: 'no', cause: reply.cause }",
    tests: REAL,
  },
  {
    name: 'whitelist: "does not exist" is taken as done',
    file: ANSWERS,
    find: "return { answer: 'missing' }",
    replace: "return { answer: 'done' }",
    tests: REAL,
  },
  {
    name: 'a row’s presence is read as commit',
    file: 'src/systems/pg/register.ts',
    find: "if (asked === '0') return this.#readMemory(connection, question)",
    replace: "if (asked === '0') return this.#obey(connection, 'commit')",
    tests: REAL,
  },
  {
    name: 'a mark’s decision is not read: presence is commit',
    file: 'src/protocol/answers.ts',
    find: "return asked.decision === 'settled' ? 'commit' : asked.decision",
    replace: "return 'commit'",
    tests: ['test/model/answers.test.ts', ...MODEL, ...REAL],
  },
  {
    name: 'an unlisted epoch is taken for abort',
    file: 'src/protocol/answers.ts',
    find: "asked.memory === 'remembered' ? 'abort' : 'held'",
    replace: "asked.memory === 'remembered' ? 'abort' : 'abort'",
    tests: REAL,
  },
  {
    name: 'memory: another server’s epoch counts as remembered',
    file: 'src/systems/pg/asking.ts',
    find: "failover === 'lossless' ? 'true' : `epoch.server = ${TIMELINE}`",
    replace: "'true'",
    tests: [...REAL, 'test/full/fail-over', 'test/full/set-back'],
  },
  {
    name: 'the claim does not ask for the epoch’s server',
    file: 'src/systems/pg/mark.ts',
    find: '\n  AND epoch.server OPERATOR(pg_catalog.=) ${TIMELINE}`',
    replace: '`',
    tests: REAL,
  },
  {
    name: 'a mark is not acknowledged: an unclear claim is taken as yes',
    file: 'src/systems/pg/branch.ts',
    find: "if (isDoubtful && explained.answer === 'unknown') return this.#left()",
    replace: "if (explained.answer === 'unknown') return { answer: 'yes' }",
    tests: REAL,
  },
  {
    name: 'a user’s hidden COMMIT goes unnoticed by the guard',
    file: 'src/systems/pg/guarded-connection.ts',
    find: 'if (CONTROL_TAGS.has(tag)) this.#leave(tag)',
    replace: '',
    tests: REAL,
  },
  {
    name: 'nothing proves that the transaction is the one that was begun',
    file: 'src/systems/pg/mark.ts',
    find: 'const PROOF: EndMessage = { fixed: [PROVE],',
    replace: 'const PROOF: EndMessage = { fixed: [RUN_DEFERRED],',
    tests: REAL,
  },
  {
    name: 'nobody looks whether a claim was deleted',
    file: 'src/systems/pg/branch.ts',
    find: "const isThere = guard.marks === 'untouched'",
    replace: 'const isThere = guard.heardAt > 0',
    tests: [...REAL, 'test/faults/privileges'],
  },
  {
    name: 'a message looks for no deleted claim',
    file: 'src/systems/pg/mark.ts',
    find: 'orStop(`EXISTS (SELECT FROM ${names.mark} AS mark WHERE ${claimAt(1, 2)})`)',
    replace:
      'orStop(`EXISTS (SELECT FROM ${names.mark} AS mark WHERE ${claimAt(1, 2)}) IS NOT NULL`)',
    tests: REAL,
  },
  {
    name: 'warnings may stay switched off',
    file: 'src/systems/pg/mark.ts',
    find: "const WARN = set('client_min_messages = warning')",
    replace: "const WARN = set('application_name = warning')",
    tests: REAL,
  },
  {
    name: 'a commit need not be durable',
    file: 'src/systems/pg/mark.ts',
    find: "none: set('synchronous_commit = on'),",
    replace: "none: set('application_name = assent'),",
    tests: REAL,
  },
  {
    name: 'remote_apply is lowered',
    file: 'src/systems/pg/participant.ts',
    find: '      this.#replication = replication\n',
    replace: '',
    tests: REAL,
  },
  {
    name: 'whoever acts at the end owns what is prepared',
    file: 'src/systems/pg/mark.ts',
    find: "const OWN_ROLE = set('role TO DEFAULT')",
    replace: "const OWN_ROLE = set('application_name = assent')",
    tests: REAL,
  },
  {
    name: 'a silent decider is not asked before others prepare',
    file: 'src/systems/pg/branch.ts',
    find: 'const isFresh = this.#facts.world.now() - guard.heardAt <= HEARD_WITHIN_MS',
    replace: 'const isFresh = guard.heardAt > 0',
    tests: REAL,
  },
  {
    name: 'a claim that became durable by a hidden COMMIT stays',
    file: 'src/systems/pg/branch.ts',
    find: 'if (this.#isLeft || (this.claimed !== undefined && mayBeDurable))',
    replace: "if (this.#stage === 'prepared')",
    tests: REAL,
  },
  {
    name: 'nobody looks whether the transaction of a travelling claim was reported to be over',
    file: 'src/systems/pg/branch.ts',
    find: 'const isSafe = isFresh && isThere && guard.isUnchanged() &&',
    replace: 'const isSafe = isFresh && isThere &&',
    tests: REAL,
  },
  {
    name: 'a participant that could not be had is no fault',
    file: 'src/engine/run.ts',
    find: 'if (failure === undefined) return joined?.fault()',
    replace: 'if (joined === undefined || failure === undefined) return joined?.fault()',
    tests: REAL,
  },
  {
    name: 'a hidden end that the server reports goes unnoticed',
    file: 'src/systems/pg/guarded-connection.ts',
    find: "const isOver = status === 'I' || isAnother",
    replace: "const isOver = status === 'I'",
    tests: REAL,
  },
  {
    name: 'a hidden COMMIT is told as aborted',
    file: 'src/engine/outcome-error.ts',
    find: "if (told !== 'aborted') return []",
    replace: "if (told !== 'committed') return []",
    tests: REAL,
  },
  {
    name: 'whether the transaction outlived what was deferred is not asked where nothing was heard',
    file: 'src/systems/pg/branch.ts',
    find: "isHeard ? { answer: 'yes' } : await this.#proveAgain()",
    replace: "{ answer: 'yes' }",
    tests: REAL,
  },
  {
    name: 'what was deferred runs again in the proof that comes once more',
    file: 'src/systems/pg/mark.ts',
    find: "fixed: byPortal(WARN, 'bind')",
    replace: "fixed: byPortal({ fixed: [RUN_DEFERRED], tags: [] }, 'bind')",
    tests: REAL,
  },
  {
    name: 'no answer to whether the transaction is there is taken for a plain no',
    file: 'src/systems/pg/branch.ts',
    find: "return explained.answer === 'unknown' || hasLeft(explained) ? this.#left() : explained",
    replace: 'return hasLeft(explained) ? this.#left() : explained',
    tests: REAL,
  },
  {
    name: 'a watch that a statement may have set is believed',
    file: 'src/systems/pg/guarded-connection.ts',
    find: "return this.#watch === 'unchanged' && this.#mode === 'kept'",
    replace: "return this.#watch === 'unchanged'",
    tests: REAL,
  },
  {
    name: 'COMMIT does not prove that a claim that was written anew is still there',
    file: 'src/systems/pg/mark.ts',
    find: 'thenCommit(together(PROVE_AGAIN, durable))',
    replace: 'thenCommit(together(WARN, durable))',
    tests: REAL,
  },
  {
    name: 'a claim that a hidden COMMIT made durable, unseen, is left behind',
    file: 'src/systems/pg/branch.ts',
    find: "this.#claim === 'none' && this.#guard.mode === 'maybe set'",
    replace: 'false',
    tests: REAL,
  },
  {
    name: 'a claim that has become another mark is taken for that',
    file: 'src/systems/pg/branch.ts',
    find: 'if (first !== undefined && isSame(first.mark, mark)) return this.#secure(first)',
    replace: 'if (first !== undefined) return this.#secure(first)',
    tests: REAL,
  },
  {
    name: 'a missing receipt is ignored',
    file: 'src/protocol/recovery.ts',
    find: 'ending: event.answer.answer }',
    replace: "ending: event.answer.answer === 'missing' ? 'done' : event.answer.answer }",
    tests: [...MODEL, ...REAL],
  },
  {
    name: 'COMMIT is believed in spite of a failed statement that was swallowed',
    file: 'src/systems/pg/guarded-connection.ts',
    find: "this.#course.kind === 'inside' && status === 'E'",
    replace: "this.#course.kind === 'inside' && status === 'X'",
    tests: REAL,
  },
  {
    name: 'a lock time-out of Ask is taken for an absent mark',
    file: 'src/systems/pg/register.ts',
    find: "return waits ? { answer: 'waits' }",
    replace: "return waits ? { answer: 'absent', memory: 'remembered' }",
    tests: REAL,
  },
  {
    name: 'what is found is obeyed without the asker’s own COMMIT',
    file: 'src/systems/pg/register.ts',
    find: "connection.send([{ text: 'COMMIT' }])\n    if (reply.kind === 'lost') return unknown(reply.cause)\n    const isDurable =",
    replace:
      "connection.send([{ text: 'ROLLBACK' }])\n    if (reply.kind === 'lost') return unknown(reply.cause)\n    const isDurable = true ||",
    tests: REAL,
  },
]

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
for (const breakage of [...OTHERS, ...orderingBreakages()]) {
  if (!breakage.name.toLowerCase().includes(wanted)) continue
  const failed = attempt(only.length === 0 ? breakage : { ...breakage, tests: only })
  if (failed.length === 0 || typeof failed === 'string') unnoticed += 1
  const noticed = typeof failed === 'string' ? failed : (failed[0] ?? 'NOTHING NOTICED')
  const more = typeof failed === 'string' || failed.length < 2 ? '' : ` (+${failed.length - 1})`
  console.log(`${breakage.name}\n    ${noticed}${more}`)
}
process.exitCode = unnoticed === 0 ? 0 : 1
