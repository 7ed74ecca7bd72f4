/**
 * A transaction over three databases, two of which vote and apply in parallel, ends the same way in
 * all of them, whenever its process is killed with SIGKILL.
 */
import { fileURLToPath } from 'node:url'
import { crashEverywhere } from '../crash/crash-suite.ts'
import { Golden } from '../crash/transcript.ts'

crashEverywhere({
  databases: ['orders', 'stock', 'ledger'],
  scenario: { writes: ['orders', 'stock', 'ledger'], reads: [] },
  golden: new Golden(
    fileURLToPath(new URL('./three-databases.golden.txt', import.meta.url)),
    'The messages of one healthy transaction over three databases; those in parallel are sorted.',
  ),
})
