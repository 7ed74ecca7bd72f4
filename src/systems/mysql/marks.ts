/**
 * The SQL of claim and receipt.
 *
 * Promises: a mark is one row or none; the texts are made of ids and names whose alphabet needs no
 * quoting under any sql_mode.
 */
import type { Mark } from '../../ports/index.ts'
import { durableSql, quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServerFacts } from './server-facts.ts'

const COLUMNS = '(txid, decision, app, register, epoch, participants)'

/**
 * The claim: only where its epoch is listed, for the present server. Under REPEATABLE READ it locks that
 * row against being unlisted meanwhile; nothing else writes to it.
 */
export function claimSql(
  names: SchemaNames,
  mark: Mark,
  present: string,
  server: ServerFacts,
): string {
  return `INSERT INTO ${names.mark} ${COLUMNS}
SELECT ${valuesOf(mark)} FROM ${names.epoch} AS epoch
WHERE epoch.id = ${quote(mark.id.epoch)} AND epoch.server = ${present} AND ${durableSql(server)}`
}

/** The receipt: its epoch is another database's. */
export function receiptSql(names: SchemaNames, mark: Mark, server: ServerFacts): string {
  return `INSERT INTO ${names.mark} ${COLUMNS}
SELECT ${valuesOf(mark)} FROM DUAL WHERE ${durableSql(server)}`
}

function valuesOf({ id, participants }: Mark): string {
  const { txid, app, register, epoch } = id
  return [txid, 'commit', app, register, epoch, JSON.stringify(participants)].map(quote).join(', ')
}
