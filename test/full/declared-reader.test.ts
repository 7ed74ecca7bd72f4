/**
 * A transaction that writes in two databases and only reads a third, declared in `reads`, ends
 * the same way in both and leaves nothing in the third, whenever its process is killed with SIGKILL.
 */
import { fileURLToPath } from 'node:url'
import { crashEverywhere } from '../crash/crash-suite.ts'
import { Golden } from '../crash/transcript.ts'

crashEverywhere({
  databases: ['orders', 'stock', 'prices'],
  scenario: { writes: ['orders', 'stock'], reads: ['prices'] },
  golden: new Golden(
    fileURLToPath(new URL('./declared-reader.golden.txt', import.meta.url)),
    'The messages of one healthy transaction with a declared reader; those in parallel are sorted.',
  ),
})
