/**
 * The same with three databases, two of which vote and apply in parallel; each of them decides.
 */
import { goldenOfThree } from './goldens.ts'
import { killServersEverywhere } from './server-kill-suite.ts'

const golden = goldenOfThree

killServersEverywhere({
  databases: ['orders', 'stock', 'ledger'],
  casts: [
    { golden, writes: ['orders', 'stock', 'ledger'], reads: [], messages: 'all' },
    { golden, writes: ['stock', 'ledger', 'orders'], reads: [], messages: 'commit path' },
    { golden, writes: ['ledger', 'orders', 'stock'], reads: [], messages: 'commit path' },
  ],
  stagesOfOthers: ['answered'],
  restart: 'at once',
})
