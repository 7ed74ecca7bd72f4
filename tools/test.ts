/**
 * `npm test`, and `npm run test:full` for what is too long for it: the tests of `test/full`, then the
 * versions of the matrix. `--versions` runs only the latter. `npm run test:pairs` runs what is too long even
 * for that: every pair of systems, killed at every point, and the other half of the widest exploration.
 *
 * Owns: which test files run in which command. Other arguments are passed on to vitest, and then
 * the matrix is left out.
 */
import { spawnSync } from 'node:child_process'
import { prepareMatrix, versionMatrix } from './version-matrix.ts'

type Env = Readonly<Record<string, string>>

const args = process.argv.slice(2)
const rest = args.filter((arg) => !['--full', '--versions', '--pairs'].includes(arg))
const isPairs = args.includes('--pairs')
const isOnlyMatrix = args.includes('--versions')
const isFull = args.includes('--full') && !isOnlyMatrix
const isMatrix = isOnlyMatrix || (isFull && rest.length === 0)

const PAIRS = [
  'pairs-with-postgres',
  'pairs-of-mariadb',
  'three-systems',
  'of-pairs',
  'detach-window',
  'wide-exploration-shown-first',
]

if (isFull || isMatrix) prepareOrExit()
const failed: string[] = []
if (isFull) run('test/full', ['test/full', ...rest], { ASSENT_FULL: '1' })
if (isPairs) run('pairs', [...PAIRS, ...rest], { ASSENT_FULL: '1', ASSENT_PAIRS: 'all' })
else if (!isFull && !isMatrix) run('npm test', rest, {})
for (const { title, files, env, node } of isMatrix ? versionMatrix() : []) {
  console.log(`\n${title}: ${files.join(' ')}`)
  run(title, ['--reporter=dot', ...files], env, node)
}
if (failed.length > 0) console.log(`FAILED: ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1

function prepareOrExit(): void {
  try {
    prepareMatrix()
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}

function run(title: string, given: readonly string[], env: Env, node = process.execPath): void {
  const { status } = spawnSync(node, ['node_modules/vitest/vitest.mjs', 'run', ...given], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  if (status !== 0) failed.push(title)
}
