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

/** PostgreSQL's timeline changes when a replica is promoted or a backup is recovered. */
export const TIMELINE = `pg_catalog.substr(
    pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)`

/**
 * Sets the nonce. It survives savepoints, and ends with the transaction that it was set in: so one
 * for each connection will do.
 */
export function setNonce(nonce: string): Statement {
  return { text: `SET LOCAL assent.branch = '${nonce}'`, again: true }
}

export const COMMIT: Statement = { text: 'COMMIT', again: true }

/**
 * First in every message that ends a branch's work. Deferred constraints and triggers run now, under
 * the user's own role and search path, while a failure is still a plain no, and before they could
 * undo our settings; and their warnings are not COMMIT's.
 */
const RUN_DEFERRED: Statement = { text: 'SET CONSTRAINTS ALL IMMEDIATE', again: true }

/** Before a mark, where the role may be one that can't write Assent's tables. */
const RESET_ROLE: Statement = {
  text: `SELECT pg_catalog.set_config('role', NULL, true)`,
  again: true,
}

/** A cut-off wait for replication is only a warning: nobody may have switched them off. */
const WARNINGS_ON: Statement = { text: 'SET LOCAL client_min_messages = warning', again: true }

const PROOF = `SELECT 1 OPERATOR(pg_catalog./) CASE WHEN
    pg_catalog.current_setting('assent.branch', true) OPERATOR(pg_catalog.=) $1::pg_catalog.text
  THEN 1 ELSE 0 END`

/**
 * COMMIT of a branch without a mark. What the session says of synchronous_commit stays: one database
 * alone is as durable as its owner wants it.
 *
 * `proof`: the nonce, without which a division by zero stops us. Only asked for where a ROLLBACK was
 * answered: every other way out of the transaction shows in a tag or in the status.
 */
export function commitStatements(proof: { readonly nonce: string } | 'needless'): Statement[] {
  if (proof === 'needless') return [RUN_DEFERRED, WARNINGS_ON, COMMIT]
  const proven = { text: PROOF, again: true, values: [proof.nonce] } as const
  return [RUN_DEFERRED, WARNINGS_ON, proven, COMMIT]
}

/**
 * The mark's key; or null, which violates NOT NULL, if the transaction is not the one that BEGIN of
 * this branch began. Setting what is not as it must be takes part in it, since the row is
 * written before the COMMIT or PREPARE that it is about:
 *
 * - the role that logged in: it owns the prepared transaction, and recovery logs in as it;
 * - warnings, see WARNINGS_ON;
 * - a commit that waits at least for the local disk; what waits for more is left;
 * - a shorter idle time-out, where given: from here on only Assent talks to this connection.
 *
 * Every name is written with its schema, so that no search path of the user's means another one.
 */
const KEY = `CASE
    WHEN pg_catalog.current_setting('assent.branch', true) OPERATOR(pg_catalog.=) $1::pg_catalog.text
      AND (current_user OPERATOR(pg_catalog.=) session_user
        OR pg_catalog.set_config('role', NULL, true) IS NOT NULL)
      AND (pg_catalog.current_setting('client_min_messages')
          OPERATOR(pg_catalog.<>) ALL (ARRAY['error', 'fatal', 'panic'])
        OR pg_catalog.set_config('client_min_messages', 'warning', true) IS NOT NULL)
      AND (pg_catalog.current_setting('synchronous_commit')
          OPERATOR(pg_catalog.=) ANY (ARRAY['on', 'remote_apply'])
        OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)
      AND ($7::pg_catalog.text IS NULL
        OR pg_catalog.set_config('idle_in_transaction_session_timeout', $7, true) IS NOT NULL)
    THEN $2::pg_catalog.text END`

interface MarkSql {
  readonly claim: string
  readonly receipt: string
}

/** Built once: these texts are sent with every transaction. */
const texts = new WeakMap<SchemaNames, MarkSql>()

function markSql(names: SchemaNames): MarkSql {
  const known = texts.get(names) ?? {
    claim: `INSERT INTO ${names.mark} (txid, decision, app, register, epoch, participants)
SELECT ${KEY}, 'commit', $3::pg_catalog.text, $4::pg_catalog.text, epoch.id, $6::pg_catalog.text[]
FROM ${names.epoch} AS epoch WHERE epoch.id OPERATOR(pg_catalog.=) $5::pg_catalog.text
  AND epoch.server OPERATOR(pg_catalog.=) ${TIMELINE}`,
    receipt: `INSERT INTO ${names.mark} (txid, decision, app, register, epoch, participants)
VALUES (${KEY}, 'commit', $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text,
  $6::pg_catalog.text[])`,
  }
  texts.set(names, known)
  return known
}

/** What a mark is written with. */
export interface MarkFacts {
  readonly names: SchemaNames
  readonly mark: Mark
  readonly nonce: string
  /** `reset first`: the user's statements may have taken on one that can't write our tables. */
  readonly role: 'as it is' | 'reset first'
}

/** Writes the claim, if the epoch is listed and of the present server. */
export function claimStatements(facts: MarkFacts, idleMs: number | undefined): Statement[] {
  const idle = idleMs === undefined ? null : String(idleMs)
  const values = [...markValues(facts), idle]
  return [...before(facts), { text: markSql(facts.names).claim, values, again: true }]
}

/** Writes the receipt and prepares: under one Sync, so that a failed receipt skips the PREPARE. */
export function voteStatements(facts: MarkFacts, gid: string): Statement[] {
  const values = [...markValues(facts), null]
  return [
    ...before(facts),
    { text: markSql(facts.names).receipt, values, again: true },
    // The gid can't be a parameter. Its alphabet needs no quoting (see protocol/id.ts).
    { text: `PREPARE TRANSACTION '${gid}'` },
  ]
}

function before({ role }: MarkFacts): readonly Statement[] {
  return role === 'as it is' ? [RUN_DEFERRED] : [RUN_DEFERRED, RESET_ROLE]
}

function markValues({ mark, nonce }: MarkFacts): readonly string[] {
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
