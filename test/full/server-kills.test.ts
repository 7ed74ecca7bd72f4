/**
 * When a server dies at any message and is started again at once, its transaction ends the same way
 * everywhere, and the living process that ran it is told the truth.
 */
import { goldenOfTwo } from '../crash/two-databases.ts'
import { goldenOfReader } from './goldens.ts'
import { killServersEverywhere } from './server-kill-suite.ts'

killServersEverywhere({
  databases: ['orders', 'stock', 'prices'],
  casts: [
    { golden: goldenOfTwo, writes: ['orders', 'stock'], reads: [], messages: 'all' },
    { golden: goldenOfTwo, writes: ['stock', 'orders'], reads: [], messages: 'commit path' },
    { golden: goldenOfReader, writes: ['orders', 'stock'], reads: ['prices'], messages: 'all' },
    {
      golden: goldenOfReader,
      writes: ['stock', 'orders'],
      reads: ['prices'],
      messages: 'commit path',
    },
  ],
  stagesOfOthers: ['sent, not processed', 'answered'],
  restart: 'at once',
})
