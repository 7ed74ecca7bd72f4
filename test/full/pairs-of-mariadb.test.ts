/**
 * The same over two MariaDB servers, with and without a binary log; each of them decides.
 */
import { crashPair } from '../crash/pair-suite.ts'
import { chosen } from '../crash/pairs.ts'
import type { PairName } from '../crash/pairs.ts'

const usual: readonly PairName[] = ['mariadb with a binary log decides, mariadb votes']
const others: readonly PairName[] = [
  'mariadb decides, mariadb with a binary log votes',
  'mariadb with a binary log decides, another votes',
]
for (const name of chosen(usual, others)) crashPair(name)
