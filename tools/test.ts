/**
 * `npm test`, and `npm run test:full` for what is too long for it.
 *
 * Owns: which test files run in which command. Arguments are passed on to vitest.
 */
import { spawnSync } from 'node:child_process'

const args = process.argv.slice(2)
const isFull = args.includes('--full')
const rest = args.filter((arg) => arg !== '--full')
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', ...(isFull ? ['test/full'] : []), ...rest],
  { stdio: 'inherit', env: { ...process.env, ...(isFull ? { ASSENT_FULL: '1' } : {}) } },
)
process.exitCode = status ?? 1
