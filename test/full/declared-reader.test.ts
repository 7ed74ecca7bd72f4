/**
 * A transaction that writes in two databases and only reads a third, declared in `reads`, ends
 * the same way in both and leaves nothing in the third, whenever its process is killed with SIGKILL.
 */
import { crashEverywhere } from '../crash/crash-suite.ts'
import { goldenOfReader, readsOneMore } from './goldens.ts'

crashEverywhere({
  databases: ['orders', 'stock', 'prices'],
  scenario: readsOneMore,
  golden: goldenOfReader,
})
