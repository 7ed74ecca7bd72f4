/**
 * The SQL of claim and receipt.
 *
 * Promises: a mark is one row, or an error; the texts are made of ids and names whose alphabet needs no
 * quoting under any sql_mode.
 *
 * Where it may not be written, its decision is NULL, which the column refuses (1048), whatever sql_mode is: so
 * the manuals of both, of an INSERT of one row by VALUES. INSERT … SELECT would be a row or none; but MariaDB 11.4
 * forces its log for each (10.11 does not), long before the COMMIT that does so again.
 */
import type { Mark } from '../../ports/index.ts'
import { durableSql, quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServerFacts } from './server-facts.ts'

const COLUMNS = '(txid, decision, app, register, epoch, participants)'

/**
 * The claim: only where its epoch is listed, for the present server. It locks that row against being
 * unlisted meanwhile; nothing else writes to it.
 */
export function claimSql(
  names: SchemaNames,
  mark: Mark,
  present: string,
  server: ServerFacts,
): string {
  return insertSql(
    names,
    mark,
    `(SELECT 'commit' FROM ${names.epoch} AS epoch
WHERE epoch.id = ${quote(mark.id.epoch)} AND epoch.server = ${present} AND ${durableSql(server)})`,
  )
}

/** The receipt: its epoch is another database's. */
export function receiptSql(names: SchemaNames, mark: Mark, server: ServerFacts): string {
  return insertSql(names, mark, `IF(${durableSql(server)}, 'commit', NULL)`)
}

function insertSql(names: SchemaNames, { id, participants }: Mark, decision: string): string {
  const rest = [id.app, id.register, id.epoch, JSON.stringify(participants)].map(quote).join(', ')
  return `INSERT INTO ${names.mark} ${COLUMNS}
VALUES (${quote(id.txid)}, ${decision}, ${rest})`
}
