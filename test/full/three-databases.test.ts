/**
 * A transaction over three databases, two of which vote and apply in parallel, ends the same way in
 * all of them, whenever its process is killed with SIGKILL.
 */
import { crashEverywhere } from '../crash/crash-suite.ts'
import { goldenOfThree, writesInThree } from './goldens.ts'

crashEverywhere({
  databases: ['orders', 'stock', 'ledger'],
  scenario: writesInThree,
  golden: goldenOfThree,
})
