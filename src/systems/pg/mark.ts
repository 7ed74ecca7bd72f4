/**
 * The mark: the row that a transaction writes in each writing branch.
 *
 * Owns: the SQL of the claim, of the receipt, and of *Ask*.
 * Promises: a mark is written in the transaction that `BEGIN` of this branch began, or not at all:
 * the branch's nonce is a setting local to that transaction, and a mark without it violates NOT
 * NULL. (A WHERE clause would not do for a receipt: `INSERT 0 0` is no error, and the PREPARE
 * behind it would run.)
 * Never: relies on the user's role, search path or settings.
 */
import type { Mark, Question } from '../../ports/index.ts'
import type { Failover } from './epochs.ts'
import type { Statement } from './wire.ts'
import type { SchemaNames } from './schema.ts'

/**
 * The first two statements of a claim and of a vote.
 *
 * Deferred constraints and triggers run now, under the user's own role and search path, while a
 * failure is still a plain no, and before they could undo our settings. Then: the login role, which
 * owns the prepared transaction and must be the one that recovery logs in as; our search path;
 * warnings switched on, since a cut-off wait for replication is only a warning; a commit that
 * waits at least for the local disk; and a shorter idle time-out, since from here on only Assent
 * talks to this connection.
 */
function preamble(idleMs: number): readonly Statement[] {
  return [
    { text: 'SET CONSTRAINTS ALL IMMEDIATE', again: true },
    {
      again: true,
      text: `SELECT pg_catalog.set_config('role', NULL, true),
  pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
  pg_catalog.set_config('client_min_messages', 'warning', true),
  pg_catalog.set_config('synchronous_commit', CASE
    WHEN pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'remote_apply'
    THEN 'remote_apply' ELSE 'on' END, true),
  pg_catalog.set_config('idle_in_transaction_session_timeout', $1::pg_catalog.text, true)`,
      values: [String(idleMs)],
    },
  ]
}

const NONCE = `CASE WHEN current_setting('assent.branch', true) = $1::text THEN $2::text END`
/** PostgreSQL's timeline changes when a replica is promoted or a backup is recovered. */
export const TIMELINE = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`

/**
 * Sets the nonce. It survives savepoints, and ends with the transaction that it was set in: so one
 * for each connection will do.
 */
export function setNonce(nonce: string): Statement {
  return { text: `SET LOCAL assent.branch = '${nonce}'`, again: true }
}

export const COMMIT: Statement = { text: 'COMMIT', again: true }

/**
 * COMMIT of a branch without a mark. Under the same Sync, and skipped if one of them fails: deferred
 * triggers first, so that their warnings and errors are not COMMIT's; then the nonce, without which
 * a division by zero stops us; then warnings, as for a mark. What the session says of
 * synchronous_commit stays: one database alone is as durable as its owner wants it.
 */
export function commitStatements(nonce: string): readonly Statement[] {
  return [
    { text: 'SET CONSTRAINTS ALL IMMEDIATE', again: true },
    {
      again: true,
      text: `SELECT 1 OPERATOR(pg_catalog./) CASE WHEN
    pg_catalog.current_setting('assent.branch', true) OPERATOR(pg_catalog.=) $1::pg_catalog.text
  THEN 1 ELSE 0 END, pg_catalog.set_config('client_min_messages', 'warning', true)`,
      values: [nonce],
    },
    COMMIT,
  ]
}

/** Writes the claim, if the epoch is listed and of the present server. */
export function claimStatements(
  names: SchemaNames,
  mark: Mark,
  nonce: string,
  idleMs: number,
): readonly Statement[] {
  return [
    ...preamble(idleMs),
    {
      again: true,
      text: `INSERT INTO ${names.mark} (txid, decision, app, register, epoch, participants)
SELECT ${NONCE}, 'commit', $3::text, $4::text, epoch.id, $6::text[]
FROM ${names.epoch} AS epoch WHERE epoch.id = $5::text AND epoch.server = ${TIMELINE}`,
      values: markValues(mark, nonce),
    },
  ]
}

/** Writes the receipt and prepares: under one Sync, so that a failed receipt skips the PREPARE. */
export function voteStatements(
  names: SchemaNames,
  mark: Mark,
  gid: string,
  nonce: string,
  idleMs: number,
): readonly Statement[] {
  return [
    ...preamble(idleMs),
    {
      again: true,
      text: `INSERT INTO ${names.mark} (txid, decision, app, register, epoch, participants)
VALUES (${NONCE}, 'commit', $3::text, $4::text, $5::text, $6::text[])`,
      values: markValues(mark, nonce),
    },
    // The gid can't be a parameter. Its alphabet needs no quoting (see protocol/id.ts).
    { text: `PREPARE TRANSACTION '${gid}'` },
  ]
}

function markValues(mark: Mark, nonce: string): readonly string[] {
  const { id } = mark
  // Quoted: a bare null would be SQL's.
  const participants = `{${mark.participants.map((name) => `"${name}"`).join(',')}}`
  return [nonce, id.txid, id.app, id.register, id.epoch, participants]
}

/**
 * *Ask*, first message: take the key, or read the row that has it.
 *
 * One statement, because the insert waits for a transaction that holds the key, and whatever it
 * then finds is read as of that moment. (Insert-or-select in one statement with a CTE reads as of
 * its beginning, and returned nothing at all when the other side committed meanwhile.)
 * READ WRITE and READ COMMITTED are said explicitly: a role's defaults may be others.
 */
export function askStatements(
  names: SchemaNames,
  question: Question,
  lockTimeoutMs: number,
): readonly Statement[] {
  return [
    { text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' },
    { text: `SET LOCAL lock_timeout = ${lockTimeoutMs}` },
    {
      text: `INSERT INTO ${names.mark} AS mark (txid, decision, app, register, epoch, participants)
VALUES ($1::text, 'abort', $2::text, $3::text, $4::text, '{}')
ON CONFLICT (txid) DO UPDATE SET asked = mark.asked + 1 RETURNING decision, asked`,
      values: [question.txid, question.app, question.register, question.epoch],
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
    { text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' },
    { text: `SET LOCAL lock_timeout = ${lockTimeoutMs}` },
    {
      text: `UPDATE ${names.mark} SET asked = asked + 1 WHERE txid = $1::text RETURNING decision`,
      values: [txid],
    },
    { text: 'COMMIT' },
  ]
}

/** Ends a prepared branch. Stands alone in its message: PostgreSQL refuses it inside a block. */
export function endStatement(gid: string, decision: 'commit' | 'abort'): Statement {
  return { text: `${decision === 'commit' ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'` }
}
