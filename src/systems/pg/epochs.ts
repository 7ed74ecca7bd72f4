/**
 * The SQL of epochs: the stretches of this register's life of which it has forgotten nothing.
 *
 * Owns: reading, opening and unlisting them.
 * Promises: an epoch is of one timeline of one database; whoever sees another than the newest
 * epoch's opens one and, unless a fail-over here loses nothing, takes the others off the list in
 * the same transaction.
 * Never: puts one back on the list.
 */
import { TIMELINE } from './mark.ts'
import type { SchemaNames } from './schema.ts'

/** What a promoted replica is known to have: everything that was acknowledged, or not that. */
export type Failover = 'lossless' | 'lossy'

/**
 * Reads the newest epoch as *Ask* reads: inside a transaction that writes, and is only obeyed when
 * its COMMIT was acknowledged.
 */
export function readEpochSql(names: SchemaNames): string {
  return `UPDATE ${names.epoch} AS epoch SET reads = reads + 1
WHERE epoch.ordinal = (SELECT max(ordinal) FROM ${names.epoch})
RETURNING epoch.id, (epoch.server = ${TIMELINE} AND epoch.origin = ${names.origin})::text`
}

/** Opens an epoch of the present server (its id is `$1`). What is not remembered here goes. */
export function openEpochSql(names: SchemaNames, failover: Failover): readonly string[] {
  const isElsewhere = `epoch.origin <> ${names.origin}`
  const isForgotten =
    failover === 'lossless' ? isElsewhere : `epoch.server <> ${TIMELINE} OR ${isElsewhere}`
  return [
    `DELETE FROM ${names.epoch} AS epoch WHERE ${isForgotten}`,
    `UPDATE ${names.database} SET origin = ${names.origin}`,
    `INSERT INTO ${names.epoch} (id, origin, server)
VALUES ($1::text, ${names.origin}, ${TIMELINE})`,
  ]
}

/**
 * An epoch is younger than `$1` milliseconds. By the server's clock: only a courtesy. One that was
 * opened in the future, by a clock that was wrong, does not count.
 */
export function isYoungSql(names: SchemaNames): string {
  return `SELECT EXISTS (SELECT FROM ${names.epoch} AS epoch
  WHERE epoch.opened_at > now() - ${milliseconds('$1')} AND epoch.opened_at <= now())`
}

/** Epochs whose successor was opened more than `$1` milliseconds ago. */
export function supersededSql(names: SchemaNames): string {
  return `SELECT epoch.id FROM ${names.epoch} AS epoch
WHERE (SELECT min(later.opened_at) FROM ${names.epoch} AS later WHERE later.ordinal > epoch.ordinal)
  < now() - ${milliseconds('$1')}`
}

/** Takes the epochs `$1` off the list. New transactions need the newest: it stays. */
export function unlistSql(names: SchemaNames): string {
  return `DELETE FROM ${names.epoch} AS epoch WHERE epoch.id = ANY ($1::text[])
  AND epoch.ordinal < (SELECT max(ordinal) FROM ${names.epoch})`
}

/** Empties the list: this database was restored, and nobody knows what it has lost. */
export function restoredSql(names: SchemaNames): string {
  return `DELETE FROM ${names.epoch};`
}

export function milliseconds(parameter: string): string {
  return `${parameter}::bigint * interval '1 millisecond'`
}
