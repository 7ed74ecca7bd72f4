/**
 * Whether what a server lists as prepared is its own.
 *
 * Promises: a decider has begun here only if its claim names an epoch that this very server lists as its
 * own. One without a claim wrote alone, and counts as begun here: nobody was told that it is aborted.
 *
 * Why: a server writes XA PREPARE to its binary log before its storage engine has flushed it (MariaDB
 * 10.11 and 11.4, seen), so that a crash between the two leaves the branch on the replicas alone:
 *
 *   1. the decider's server logs XA PREPARE, its replica prepares the branch, the server dies
 *   2. it comes back without the branch: its claim is absent, durably, and the voters are rolled back
 *   3. some day the replica is promoted, and lists the decider as prepared
 *
 * A decider that is found prepared where it was begun is the decision, since nobody can have been told
 * that it is absent. On another server that can't be known, whatever was acknowledged is there or not.
 */
import { NO_TABLES, quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { isOff, rowsOf } from './server-facts.ts'
import type { ServiceConnection } from './service-connections.ts'

/** @throws NoConnection, or the server's error */
export async function beganHere(
  connection: ServiceConnection,
  names: SchemaNames,
  txid: string,
  present: string,
): Promise<boolean> {
  // What the branch itself wrote, under its locks: so it can't change. Of the next transaction alone.
  await connection.rows('SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED')
  await connection.rows('START TRANSACTION READ ONLY')
  const claim = await connection.send(
    `SELECT EXISTS (SELECT 1 FROM ${names.epoch} AS epoch
  WHERE epoch.id = mark.epoch AND epoch.server = ${present})
FROM ${names.mark} AS mark WHERE mark.txid = ${quote(txid)}`,
  )
  await connection.rollBack()
  if (claim.kind === 'refused' && NO_TABLES.includes(claim.error.errno)) return true
  const [first] = rowsOf(claim)
  return first === undefined || first[0] === '1'
}

/** Asked anew each time: a replica may have been promoted since its connection was made. */
export async function isReplica(connection: ServiceConnection): Promise<boolean> {
  const [row] = await connection.rows('SELECT @@global.read_only')
  return !isOff(row?.[0])
}
