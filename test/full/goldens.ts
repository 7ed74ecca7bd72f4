/**
 * Owns: the transactions of more than two databases, and their golden transcripts.
 */
import { fileURLToPath } from 'node:url'
import type { Scenario } from '../crash/doomed-process.ts'
import { Golden } from '../crash/transcript.ts'

function golden(file: string, title: string): Golden {
  return new Golden(fileURLToPath(new URL(`./${file}.golden.txt`, import.meta.url)), title)
}

export const writesInThree: Scenario = { writes: ['stock', 'orders', 'ledger'], reads: [] }

export const goldenOfThree = golden(
  'three-databases',
  'The messages of one healthy transaction over three databases; those in parallel are sorted.',
)

export const readsOneMore: Scenario = { writes: ['stock', 'orders'], reads: ['prices'] }

export const goldenOfReader = golden(
  'declared-reader',
  'The messages of one healthy transaction with a declared reader; those in parallel are sorted.',
)
