/**
 * The claim need not travel with the first statement: one that is written last, before the votes, ends
 * its transaction the same way everywhere, whenever its process is killed around it. (At every other
 * message as well: test/full/claim-last.test.ts.)
 */
import { crashEverywhere } from './crash-suite.ts'
import { claimsLast, goldenOfClaimLast } from './two-databases.ts'

crashEverywhere({
  databases: ['orders', 'stock'],
  scenario: claimsLast,
  golden: goldenOfClaimLast,
  at: ['claim', 'vote'],
})
