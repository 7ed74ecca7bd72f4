/**
 * Every fact of the ordering tables, taken away: the explorations have to notice.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import {
  FORGETTING_ORDERING,
  ONE_PHASE_ORDERING,
  RECOVERY_ORDERING,
  TWO_PHASE_ORDERING,
  WITNESS_ORDERING,
} from '../../src/protocol/ordering.ts'
import { MODEL } from './breakage.ts'
import type { Breakage } from './breakage.ts'

const root = path.resolve(import.meta.dirname, '../..')
/** Each fact of each row of the ordering tables, taken away. */
export function orderingBreakages(): readonly Breakage[] {
  const tables: Record<string, Record<string, { readonly after: readonly string[] }>> = {
    TWO_PHASE_ORDERING,
    ONE_PHASE_ORDERING,
    RECOVERY_ORDERING,
    FORGETTING_ORDERING,
    WITNESS_ORDERING,
  }
  const file = 'src/protocol/ordering.ts'
  const source = readFileSync(path.join(root, file), 'utf8')
  return Object.entries(tables).flatMap(([table, rows]) => {
    const start = source.indexOf(`export const ${table}`)
    return Object.entries(rows).flatMap(([message, row]) =>
      row.after.map((fact) => {
        const key = /^[a-z]+$/.test(message) ? message : `'${message}'`
        const rowStart = source.indexOf(`\n  ${key}: {`, start)
        const rowEnd = source.indexOf('\n  },', rowStart)
        const find = source.slice(rowStart, rowEnd)
        const replace = find.replace(new RegExp(`'${fact}',?\\s*`), '')
        return { name: `${table} ${message}: without "${fact}"`, file, find, replace, tests: MODEL }
      }),
    )
  })
}
