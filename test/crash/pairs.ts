/**
 * Owns: the transactions over several systems that are killed, and their golden transcripts: orders
 * decides, stock votes (and ledger, where there are three).
 */
import { fileURLToPath } from 'node:url'
import type { DatabaseSpec, System } from './crash-database.ts'
import type { Scenario } from './doomed-process.ts'
import { Golden } from './transcript.ts'

export interface SystemPair {
  readonly databases: readonly DatabaseSpec[]
  readonly scenario: Scenario
  readonly golden: Golden
  readonly hasBinlogDecider: boolean
}

const WITH_LOG = 'mariadb with a binary log'

function pair(file: string, orders: System, stock: System, ledger?: System): SystemPair {
  const third: readonly DatabaseSpec[] =
    ledger === undefined ? [] : [{ name: 'ledger', system: ledger }]
  const title = [`orders on ${orders} decides, stock on ${stock}`]
  if (ledger !== undefined) title.push(`ledger on ${ledger}`)
  return {
    databases: [{ name: 'orders', system: orders }, { name: 'stock', system: stock }, ...third],
    scenario: {
      writes: ledger === undefined ? ['stock', 'orders'] : ['stock', 'orders', 'ledger'],
      reads: [],
      decider: 'orders',
    },
    golden: new Golden(
      fileURLToPath(new URL(`./pairs/${file}.golden.txt`, import.meta.url)),
      `The messages of one healthy transaction: ${title.join(', ')}.`,
    ),
    hasBinlogDecider: orders === WITH_LOG,
  }
}

export const PAIRS = {
  'postgres decides, mariadb votes': pair('postgres-mariadb', 'postgres', 'mariadb'),
  'mariadb decides, postgres votes': pair('mariadb-postgres', 'mariadb', 'postgres'),
  'mariadb with a binary log decides, postgres votes': pair(
    'binlog-postgres',
    WITH_LOG,
    'postgres',
  ),
  'mariadb decides, mariadb with a binary log votes': pair('mariadb-binlog', 'mariadb', WITH_LOG),
  'mariadb with a binary log decides, mariadb votes': pair('binlog-mariadb', WITH_LOG, 'mariadb'),
  'mariadb with a binary log decides, another votes': pair('binlog-binlog', WITH_LOG, WITH_LOG),
  'three systems': pair('three-systems', 'postgres', 'mariadb', WITH_LOG),
} as const satisfies Readonly<Record<string, SystemPair>>

export type PairName = keyof typeof PAIRS

/**
 * What `npm run test:full` runs, and what only `npm run test:pairs` adds: every pair at every point takes
 * longer than a change may wait.
 */
export function chosen<T>(usual: readonly T[], others: readonly T[]): readonly T[] {
  return process.env['ASSENT_PAIRS'] === 'all' ? [...usual, ...others] : usual
}
