/**
 * Owns: the transactions over two databases that are killed, and their golden transcripts: orders
 * decides, with a claim that goes along with its first statement, or with one that is written last.
 */
import { fileURLToPath } from 'node:url'
import type { Scenario } from './doomed-process.ts'
import { Golden } from './transcript.ts'

export const writesInTwo: Scenario = { writes: ['stock', 'orders'], reads: [] }

export const goldenOfTwo = new Golden(
  fileURLToPath(new URL('./two-databases.golden.txt', import.meta.url)),
  'The messages of one healthy transaction over two databases, in the order of the wire.',
)

export const claimsLast: Scenario = { writes: ['orders', 'stock'], reads: [], decider: 'orders' }

export const goldenOfClaimLast = new Golden(
  fileURLToPath(new URL('./claim-last.golden.txt', import.meta.url)),
  'The messages of one healthy transaction over two databases whose claim is written last.',
)
