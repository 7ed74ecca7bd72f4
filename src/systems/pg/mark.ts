/**
 * The mark: the row that a transaction writes in each writing branch.
 *
 * Owns: the SQL of the claim, of the receipt, and of the COMMIT that they lead to.
 * Promises: a mark is written, and a branch committed, in the transaction that `BEGIN` of this branch
 * began, or not at all. A claim that travels behind BEGIN under the same Sync can't be anywhere else;
 * every other message proves it by the idle time-out that BEGIN was followed by. Without the proof a
 * mark violates NOT NULL. (A WHERE clause would not do: `INSERT 0 0` is no error, and the PREPARE
 * behind it would run.)
 * Never: relies on the user's role, search path or settings.
 */
import type { Mark } from '../../ports/index.ts'
import type { Statement } from './wire.ts'
import type { SchemaNames } from './schema.ts'

/** PostgreSQL's timeline changes when a replica is promoted or a backup is recovered. */
export const TIMELINE = `pg_catalog.substr(
    pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)`

const IDLE = 'idle_in_transaction_session_timeout'

/**
 * Frees what a vanished client holds. And it proves the transaction: it survives savepoints, and ends
 * with the transaction that it was set in. No other has these milliseconds, since they end in the
 * connection's nonce (1 to 999; see connection-facts).
 */
export function setIdle(ms: number): Statement {
  return { text: `SET LOCAL ${IDLE} = ${ms}`, again: true }
}

/**
 * Shows when the transaction ends: the server reports this setting whenever it has changed, and it
 * changes back with the transaction, whoever ended it and however. It is one that says nothing
 * about the transaction that it is set in. Between a claim that travels and the votes there is no
 * proof: this is what tells whether one has to be asked for (see PgBranch).
 */
export const WATCHED = 'default_transaction_read_only'
export const WATCH: Statement = { text: `SET LOCAL ${WATCHED} = on`, again: true }

/** As PostgreSQL shows a time that is not in whole seconds. */
function shown(idleMs: number): string {
  return `${idleMs}ms`
}

// --- what must be true where a branch's work ends ---------------------------------------------

/** The transaction is the one that `setIdle` was answered in. */
function proven(at: number): string {
  return `pg_catalog.current_setting('${IDLE}') OPERATOR(pg_catalog.=) $${at}::pg_catalog.text`
}

/**
 * A cut-off wait for replication is only a warning: nobody may have switched them off. Those levels are
 * replaced; what shows more is left.
 */
const WARNED = `(pg_catalog.current_setting('client_min_messages')
          OPERATOR(pg_catalog.<>) ALL (ARRAY['error', 'fatal', 'panic'])
        OR pg_catalog.set_config('client_min_messages', 'warning', true) IS NOT NULL)`

/** A commit waits at least for the local disk; what waits for more is left. */
const DURABLE = `(pg_catalog.current_setting('synchronous_commit')
          OPERATOR(pg_catalog.=) ANY (ARRAY['on', 'remote_apply'])
        OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)`

/** The role is the one that logged in: it owns what is prepared, and recovery logs in as it. */
const OWN_ROLE = `(current_user OPERATOR(pg_catalog.=) session_user
        OR pg_catalog.set_config('role', NULL, true) IS NOT NULL)`

/** From here on only Assent talks to this connection, which may be idle for a shorter time. */
function idleFor(at: number): string {
  return `pg_catalog.set_config('${IDLE}', $${at}::pg_catalog.text, true) IS NOT NULL`
}

function all(...conditions: readonly (string | undefined)[]): string {
  return conditions.filter((condition) => condition !== undefined).join('\n      AND ')
}

/** A division by zero stops the message where it is not so. */
function orStop(condition: string): string {
  return `SELECT 1 OPERATOR(pg_catalog./) CASE
    WHEN ${condition}
    THEN 1 ELSE 0 END`
}

/** The row of a claim that this transaction has written; `$ctid` and `$txid` by their numbers. */
function claimAt(ctid: number, txid: number): string {
  return `mark.ctid OPERATOR(pg_catalog.=) $${ctid}::pg_catalog.tid
  AND mark.txid OPERATOR(pg_catalog.=) $${txid}::pg_catalog.text`
}

// --- the statements ---------------------------------------------------------------------------

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

export const COMMIT: Statement = { text: 'COMMIT', again: true }

/** COMMIT where all that must be true of it was made so by the message before. */
export const COMMIT_ONLY: readonly Statement[] = [COMMIT]

const PROVEN_AND_WARNED = orStop(all(proven(1), WARNED))

/**
 * COMMIT of a branch without a mark. What the session says of synchronous_commit stays: one database
 * alone is as durable as its owner wants it.
 */
export function commitAlone(idleMs: number): readonly Statement[] {
  return [RUN_DEFERRED, { text: PROVEN_AND_WARNED, values: [shown(idleMs)], again: true }, COMMIT]
}
export const ALONE_TAGS: readonly string[] = ['SET CONSTRAINTS', 'SELECT 1']

/** Built once: these texts are sent with every transaction. */
const texts = new WeakMap<SchemaNames, Map<string, string>>()

function textOf(names: SchemaNames, which: string, build: () => string): string {
  const built = texts.get(names) ?? new Map<string, string>()
  texts.set(names, built)
  const text = built.get(which) ?? build()
  built.set(which, text)
  return text
}

/** A claim that travelled behind BEGIN, and where its row is. */
export interface FirstClaim {
  readonly mark: Mark
  readonly ctid: string
}

/**
 * The claim that travels behind BEGIN, before anything of the user's: nothing has changed role,
 * settings or transaction there. Returns its ctid.
 */
export function claimFirst(names: SchemaNames, mark: Mark): Statement {
  const text = textOf(
    names,
    'claim first',
    () => `${claimSql(names, '$1::pg_catalog.text')} RETURNING ctid::pg_catalog.text`,
  )
  return { text, values: markValues(mark), again: true }
}

/** Where the user's work ends: what a message of ours finds. */
export interface EndFacts {
  readonly names: SchemaNames
  /** What `setIdle` was given. */
  readonly idleMs: number
  /** `reset first`: the user's statements may have taken on one that can't use our tables. */
  readonly role: 'as it is' | 'reset first'
}

/**
 * What remains to be seen to before the COMMIT of a decider that claimed first. Its row must still be
 * there: the user's statements could reach it. (By ctid: under SERIALIZABLE a look at the index would
 * be in conflict with every other claim on the same page.)
 */
export function securedClaim(
  facts: EndFacts,
  claim: FirstClaim,
  newIdleMs?: number,
): readonly Statement[] {
  const { names, idleMs } = facts
  const isThere = `EXISTS (SELECT FROM ${names.mark} AS mark WHERE ${claimAt(2, 3)})`
  const isShorter = newIdleMs !== undefined
  const text = textOf(names, `secured ${isShorter}`, () =>
    orStop(all(proven(1), WARNED, DURABLE, isThere, isShorter ? idleFor(4) : undefined)),
  )
  const values = [shown(idleMs), claim.ctid, claim.mark.id.txid]
  if (isShorter) values.push(String(newIdleMs))
  return [...before(facts), { text, values, again: true }]
}
export function securedTags(facts: EndFacts): readonly string[] {
  return [...tagsBefore(facts), 'SELECT 1']
}

/** COMMIT behind `securedClaim`, in the same message. */
export function commitClaimed(facts: EndFacts, claim: FirstClaim): readonly Statement[] {
  return [...securedClaim(facts, claim), COMMIT]
}

/** What a mark is written with, at the end of the user's work. */
export interface MarkFacts extends EndFacts {
  readonly mark: Mark
  /** A claim that this very transaction has written, and that has become another mark. */
  readonly before: FirstClaim | undefined
}

/** Writes the claim; from there on the session may be idle for `newIdleMs`, if given. */
export function claimStatements(facts: MarkFacts, newIdleMs: number | undefined): Statement[] {
  return [...before(facts), markStatement(facts, 'claim', newIdleMs)]
}

/** Writes the receipt and prepares: under one Sync, so that a failed receipt skips the PREPARE. */
export function voteStatements(facts: MarkFacts, gid: string): Statement[] {
  return [
    ...before(facts),
    markStatement(facts, 'receipt', undefined),
    // The gid can't be a parameter. Its alphabet needs no quoting (see protocol/id.ts).
    { text: `PREPARE TRANSACTION '${gid}'` },
  ]
}

function before({ role }: EndFacts): readonly Statement[] {
  return role === 'as it is' ? [RUN_DEFERRED] : [RUN_DEFERRED, RESET_ROLE]
}

/** The tags of what precedes a mark or a check in its message. */
export function tagsBefore({ role }: EndFacts): readonly string[] {
  return role === 'as it is' ? ['SET CONSTRAINTS'] : ['SET CONSTRAINTS', 'SELECT 1']
}

/** The tag of a mark that was written; a claim that is made another mark is changed by a SELECT. */
export function markTag({ before: written }: MarkFacts): string {
  return written === undefined ? 'INSERT 0 1' : 'SELECT 1'
}

// --- the row ----------------------------------------------------------------------------------

/** The number of the parameter behind those of the row. */
const PROOF_AT = 6

function markStatement(
  { names, mark, idleMs, before: written }: MarkFacts,
  which: 'claim' | 'receipt',
  newIdleMs: number | undefined,
): Statement {
  const isShorter = newIdleMs !== undefined
  const kind = written === undefined ? which : 'rewrite'
  const text = textOf(names, `${kind} ${isShorter}`, () => {
    if (kind === 'rewrite') return rewriteSql(names, isShorter)
    const sql = { claim: claimSql, receipt: receiptSql }[kind]
    return sql(names, keySql(isShorter))
  })
  const values = [...markValues(mark), shown(idleMs)]
  if (isShorter) values.push(String(newIdleMs))
  if (written !== undefined) values.push(written.ctid)
  return { text, values, again: true }
}

/**
 * The mark's key; or null, which violates NOT NULL, if the transaction is not the one that BEGIN of
 * this branch began. Setting what is not as it must be takes part in it, since the row is
 * written before the COMMIT or PREPARE that it is about.
 *
 * Every name is written with its schema, so that no search path of the user's means another one.
 */
function keySql(isShorter: boolean): string {
  return `CASE
    WHEN ${asItMustBe(isShorter)}
    THEN $1::pg_catalog.text END`
}

function asItMustBe(isShorter: boolean): string {
  const idle = isShorter ? idleFor(PROOF_AT + 1) : undefined
  return all(proven(PROOF_AT), OWN_ROLE, WARNED, DURABLE, idle)
}

const COLUMNS = 'txid, decision, app, register, epoch, participants'

/** The claim, if the epoch is listed and of the present server. */
function claimSql(names: SchemaNames, key: string): string {
  return `INSERT INTO ${names.mark} (${COLUMNS})
SELECT ${key}, 'commit', $2::pg_catalog.text, $3::pg_catalog.text, epoch.id, $5::pg_catalog.text[]
FROM ${names.epoch} AS epoch WHERE epoch.id OPERATOR(pg_catalog.=) $4::pg_catalog.text
  AND epoch.server OPERATOR(pg_catalog.=) ${TIMELINE}`
}

function receiptSql(names: SchemaNames, key: string): string {
  return `INSERT INTO ${names.mark} (${COLUMNS})
VALUES (${key}, 'commit', $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.text,
  $5::pg_catalog.text[])`
}

/** Makes another mark of a claim that this transaction has written; stops if its row is gone. */
function rewriteSql(names: SchemaNames, isShorter: boolean): string {
  return `WITH changed AS (
  UPDATE ${names.mark} AS mark SET app = $2::pg_catalog.text, register = $3::pg_catalog.text,
    epoch = $4::pg_catalog.text, participants = $5::pg_catalog.text[]
  WHERE ${claimAt(PROOF_AT + (isShorter ? 2 : 1), 1)} RETURNING 1)
${orStop(all(asItMustBe(isShorter), 'EXISTS (SELECT FROM changed)'))}`
}

function markValues({ id, participants }: Mark): string[] {
  // Quoted: a bare null would be SQL's.
  const array = `{${participants.map((name) => `"${name}"`).join(',')}}`
  return [id.txid, id.app, id.register, id.epoch, array]
}

/** Ends a prepared branch. Stands alone in its message: PostgreSQL refuses it inside a block. */
export function endStatement(gid: string, decision: 'commit' | 'abort'): Statement {
  return { text: `${decision === 'commit' ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'` }
}
