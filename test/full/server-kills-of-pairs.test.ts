/**
 * When a server dies at any message of a transaction over PostgreSQL and MariaDB and is started again at
 * once, or late, it ends the same way everywhere, and the living process that ran it is told the truth.
 */
import { describe } from 'vitest'
import { PAIRS, chosen } from '../crash/pairs.ts'
import type { PairName } from '../crash/pairs.ts'
import { killServersEverywhere } from './server-kill-suite.ts'
import type { Restart } from './server-kill.ts'

type Suite = readonly [PairName, Restart]
const usual: readonly Suite[] = [
  ['postgres decides, mariadb votes', 'at once'],
  ['mariadb with a binary log decides, mariadb votes', 'at once'],
]
const others: readonly Suite[] = [
  ['mariadb decides, postgres votes', 'at once'],
  ['mariadb with a binary log decides, another votes', 'after others waited'],
  ['mariadb decides, mariadb with a binary log votes', 'after others waited'],
]

describe.each(chosen(usual, others))('%s, back %s', (name, restart) => {
  const { databases, golden } = PAIRS[name]
  const messages = restart === 'at once' ? 'all' : 'commit path'
  killServersEverywhere({
    databases,
    casts: [{ golden, writes: ['orders', 'stock'], reads: [], messages }],
    stagesOfOthers: ['answered'],
    restart,
  })
})
