/**
 * The same over PostgreSQL and MariaDB: a decider whose server died in the midst of its commit is found
 * prepared, and committed.
 */
import { describe } from 'vitest'
import { PAIRS } from '../crash/pairs.ts'
import { losePower } from './power-loss-suite.ts'

describe.each([
  'postgres decides, mariadb votes',
  'mariadb decides, mariadb with a binary log votes',
  'mariadb with a binary log decides, postgres votes',
] as const)('%s', (name) => {
  losePower(PAIRS[name])
})
