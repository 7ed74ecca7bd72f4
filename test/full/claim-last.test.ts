/**
 * The same as for a claim that travels with the first statement, at every message.
 */
import { crashEverywhere } from '../crash/crash-suite.ts'
import { claimsLast, goldenOfClaimLast } from '../crash/two-databases.ts'

crashEverywhere({
  databases: ['orders', 'stock'],
  scenario: claimsLast,
  golden: goldenOfClaimLast,
})
