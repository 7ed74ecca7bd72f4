/**
 * The same over PostgreSQL and MariaDB: a decider whose server died in the midst of its commit is found
 * prepared, and committed.
 */
import { describe } from 'vitest'
import { PAIRS, chosen } from '../crash/pairs.ts'
import type { PairName } from '../crash/pairs.ts'
import { losePower } from './power-loss-suite.ts'

const usual: readonly PairName[] = ['mariadb with a binary log decides, postgres votes']
const others: readonly PairName[] = [
  'postgres decides, mariadb votes',
  'mariadb decides, mariadb with a binary log votes',
]

describe.each(chosen(usual, others))('%s', (name) => {
  losePower(PAIRS[name])
})
