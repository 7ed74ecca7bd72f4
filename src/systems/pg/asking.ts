/**
 * The SQL by which a mark is asked for: by recovery, by `outcome`, and by whoever lost the answer to
 * a COMMIT.
 *
 * Never: changes what a mark says. (`withdrawStatement` removes one that says what its absence does; a
 * person's decision is written where there was none, by `ByHand`.)
 */
import type { Question } from '../../ports/index.ts'
import type { Failover } from './epochs.ts'
import { TIMELINE } from './mark.ts'
import type { SchemaNames } from './schema.ts'
import type { Statement } from './wire.ts'

/** Removes a claim that a COMMIT of the user's may have made durable: nothing was committed by it. */
export function withdrawStatement(names: SchemaNames, txid: string): Statement {
  return {
    text: `DELETE FROM ${names.mark} WHERE txid OPERATOR(pg_catalog.=) $1::pg_catalog.text
  AND decision OPERATOR(pg_catalog.=) 'commit'`,
    values: [txid],
  }
}

/** READ WRITE and READ COMMITTED are said explicitly: a role's defaults may be others. */
function begun(lockTimeoutMs: number): readonly Statement[] {
  return [
    { text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' },
    { text: `SET LOCAL lock_timeout = ${lockTimeoutMs}` },
  ]
}

/**
 * *Ask*, first message: take the key, or read the row that has it.
 *
 * One statement, because the insert waits for a transaction that holds the key, and whatever it
 * then finds is read as of that moment. (Insert-or-select in one statement with a CTE reads as of
 * its beginning, and returned nothing at all when the other side committed meanwhile.)
 */
export function askStatements(
  names: SchemaNames,
  { txid, app, register, epoch }: Question,
  lockTimeoutMs: number,
  decision: 'abort' | 'heuristic-commit' | 'heuristic-abort' = 'abort',
): readonly Statement[] {
  return [
    ...begun(lockTimeoutMs),
    {
      text: `INSERT INTO ${names.mark} AS mark (txid, decision, app, register, epoch, participants)
VALUES ($1::text, '${decision}', $2::text, $3::text, $4::text, '{}')
ON CONFLICT (txid) DO UPDATE SET asked = mark.asked + 1 RETURNING decision, asked`,
      values: [txid, app, register, epoch],
    },
  ]
}

export const ASKED_TAGS: readonly string[] = ['BEGIN', 'SET', 'INSERT 0 1']

/**
 * *Ask*, second message when the key was free: is the epoch remembered by this very server? Asked
 * in a statement of its own, after the insert: read before it, the list could be older than the
 * row's absence.
 */
export function memoryStatements(
  names: SchemaNames,
  epoch: string,
  failover: Failover,
): readonly Statement[] {
  // A replica that loses nothing when it is promoted remembers what its primary did.
  const isPresent = failover === 'lossless' ? 'true' : `epoch.server = ${TIMELINE}`
  return [
    {
      text: `SELECT EXISTS (SELECT FROM ${names.epoch} AS epoch
  WHERE epoch.id = $1::text AND ${isPresent} AND epoch.origin = ${names.origin})`,
      values: [epoch],
    },
    // An abort needs no stored row: the owner's claim died with its transaction.
    { text: 'ROLLBACK' },
  ]
}

/** Looks a txid up without a register: only a row that is there says anything. */
export function lookUpStatements(
  names: SchemaNames,
  txid: string,
  lockTimeoutMs: number,
): readonly Statement[] {
  return [
    ...begun(lockTimeoutMs),
    {
      text: `UPDATE ${names.mark} SET asked = asked + 1 WHERE txid = $1::text RETURNING decision`,
      values: [txid],
    },
    { text: 'COMMIT' },
  ]
}
