/**
 * A transaction over PostgreSQL and MariaDB ends the same way in both, whenever its process is killed
 * with SIGKILL: at every message, before, between and after; each of them decides.
 */
import { crashPair } from '../crash/pair-suite.ts'
import { chosen } from '../crash/pairs.ts'
import type { PairName } from '../crash/pairs.ts'

const usual: readonly PairName[] = [
  'postgres decides, mariadb votes',
  'mariadb with a binary log decides, postgres votes',
]
const others: readonly PairName[] = ['mariadb decides, postgres votes']
for (const name of chosen(usual, others)) crashPair(name)
