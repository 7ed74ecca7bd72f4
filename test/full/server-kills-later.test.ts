/**
 * The same when the server comes back late: the process that runs the transaction, and the scans,
 * have tried in vain before.
 */
import { goldenOfTwo } from '../crash/two-databases.ts'
import { goldenOfReader, goldenOfThree } from './goldens.ts'
import { killServersEverywhere } from './server-kill-suite.ts'

const messages = 'commit path'

killServersEverywhere({
  databases: ['orders', 'stock', 'ledger'],
  casts: [
    { golden: goldenOfTwo, writes: ['orders', 'stock'], reads: [], messages },
    { golden: goldenOfTwo, writes: ['stock', 'orders'], reads: [], messages },
    { golden: goldenOfThree, writes: ['orders', 'stock', 'ledger'], reads: [], messages },
    { golden: goldenOfReader, writes: ['orders', 'stock'], reads: ['ledger'], messages },
  ],
  stagesOfOthers: ['answered'],
  restart: 'after others waited',
})
