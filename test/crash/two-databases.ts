/**
 * Owns: the transaction over two databases that is killed, and its golden transcript.
 */
import { fileURLToPath } from 'node:url'
import type { Scenario } from './doomed-process.ts'
import { Golden } from './transcript.ts'

export const writesInTwo: Scenario = { writes: ['orders', 'stock'], reads: [] }

export const goldenOfTwo = new Golden(
  fileURLToPath(new URL('./two-databases.golden.txt', import.meta.url)),
  'The messages of one healthy transaction over two databases, in the order of the wire.',
)
