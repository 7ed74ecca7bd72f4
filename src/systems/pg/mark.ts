/**
 * The mark: the row that a transaction writes in each writing branch.
 *
 * Owns: the SQL of the claim, of the receipt, and of the COMMIT that they lead to.
 * Promises: a mark is written, and a branch committed, in the transaction that `BEGIN` of this branch
 * began, or not at all. A claim that travels behind BEGIN under the same Sync can't be anywhere else;
 * every other message proves it by the portal that was bound behind BEGIN (see `BIND_PROOF`).
 * Never: relies on the user's role, search path or settings.
 */
import type { Mark } from '../../ports/index.ts'
import { committed, open, prepared } from './answers.ts'
import type { Expected } from './answers.ts'
import type { Statement } from './wire.ts'
import type { SchemaNames } from './schema.ts'

/** PostgreSQL's timeline changes when a replica is promoted or a backup is recovered. */
export const TIMELINE = `pg_catalog.substr(
    pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)`

/** Frees what a vanished client holds. */
export function setIdle(ms: number): Statement {
  const text = `SET LOCAL idle_in_transaction_session_timeout = ${ms}`
  return { text, again: true, tag: 'SET' }
}

// --- the transaction is the one that was begun ------------------------------------------------

/**
 * First in every message that ends a branch's work. Deferred constraints and triggers run now, under
 * the user's own role and search path, while a failure is still a plain no, and before they could
 * undo our settings; and their warnings are not COMMIT's.
 */
const RUN_DEFERRED: Statement = {
  text: 'SET CONSTRAINTS ALL IMMEDIATE',
  again: true,
  tag: 'SET CONSTRAINTS',
}
/** Is in the server's error where the proof fails. */
export const PORTAL = 'assent_same_transaction'

/**
 * Behind BEGIN a statement is bound to a portal, which the message that ends the branch executes. A
 * portal survives savepoints, and the server drops it with its transaction: if that was ended,
 * whoever ended it and however, there is nothing to execute. So the message stops there (34000),
 * and neither mark nor COMMIT runs. What is executed is what comes first there anyway.
 *
 * Source: PostgreSQL manual, "Extended Query": a named portal lasts till the end of the current
 * transaction, unless explicitly destroyed.
 */
export const BIND_PROOF: Statement = { ...RUN_DEFERRED, portal: { name: PORTAL, step: 'bind' } }
const PROVE: Statement = { ...RUN_DEFERRED, portal: { name: PORTAL, step: 'execute' } }

/**
 * Shows when the transaction ends: the server reports this setting whenever it has changed, and it
 * changes back with the transaction, whoever ended it and however. It is one that says nothing
 * about the transaction that it is set in. Between a claim that travels and the votes there is no
 * proof: this is what tells whether one has to be asked for (see PgBranch).
 */
export const WATCHED = 'default_transaction_read_only'
export const WATCH: Statement = { text: `SET LOCAL ${WATCHED} = on`, again: true, tag: 'SET' }
const WATCHING: Part = { fixed: [WATCH], tags: ['SET'] }

// --- what must be true where a branch's work ends ---------------------------------------------

/** Whether a COMMIT or PREPARE waits for standbys, if the session wants it to. */
export type Replication = 'none' | 'synchronous'
/** Of a replica nothing is known: its setting is not the primary's. */
export const REPLICATION = `pg_catalog.pg_is_in_recovery()
  OR pg_catalog.current_setting('synchronous_standby_names') <> ''`
export function replicationOf(column: string | null | undefined): Replication {
  return column === 'f' ? 'none' : 'synchronous'
}

/**
 * Under what a branch's work ends. `plain`: nobody waits for a standby, the session logged in with
 * warnings on, waiting for the disk, and no statement that was seen since may have changed a setting.
 */
export type Footing = Replication | 'plain'

/** A message that sees to the end of a branch's work. */
export interface EndMessage {
  /** The same list again and again, if nothing is to be said that is of one transaction alone. */
  readonly fixed: readonly Statement[]
  readonly expected: Expected
}

/** What such a message begins with. */
interface Part {
  readonly fixed: readonly Statement[]
  /** What is a yes of each. */
  readonly tags: readonly string[]
}

const PROOF: Part = { fixed: [PROVE], tags: ['SET CONSTRAINTS'] }

/** The role that logged in, which owns what is prepared: recovery logs in as it. */
const OWN_ROLE = set('role TO DEFAULT')
/**
 * A wait for replication that was cut off is only a warning: nobody may have switched them off. Where
 * nobody waits, nothing is to be heard.
 */
const WARN = set('client_min_messages = warning')
/**
 * Durable at least on the local disk. To wait for more is the user's choice; without a synchronous
 * standby there is nothing more to wait for.
 */
const DURABLE: Readonly<Record<Replication, Part>> = {
  none: set('synchronous_commit = on'),
  synchronous: {
    fixed: [
      {
        text: `SELECT pg_catalog.current_setting('synchronous_commit')
    OPERATOR(pg_catalog.=) ANY (ARRAY['on', 'remote_apply'])
  OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL`,
        again: true,
      },
    ],
    tags: ['SELECT 1'],
  },
}

function set(setting: string): Part {
  return { fixed: [{ text: `SET LOCAL ${setting}`, again: true, tag: 'SET' }], tags: ['SET'] }
}

function together(...parts: readonly Part[]): Part {
  return {
    fixed: parts.flatMap(({ fixed }) => fixed),
    tags: parts.flatMap(({ tags }) => tags),
  }
}

function forBoth<T>(make: (durable: Part) => T): Readonly<Record<Replication, T>> {
  return { none: make(DURABLE.none), synchronous: make(DURABLE.synchronous) }
}

/** What is rarely said, and the same where less would do. */
function forAny<T>(make: (durable: Part) => T): Readonly<Record<Footing, T>> {
  return { ...forBoth(make), plain: make(DURABLE.none) }
}

/** PREPARE and COMMIT PREPARED are forced to the disk whatever synchronous_commit says. */
const BEFORE_RECEIPT: Readonly<Record<Footing, Part>> = {
  ...forBoth((durable) => together(PROOF, WARN, durable, OWN_ROLE)),
  plain: together(PROOF, OWN_ROLE),
}
const PREPARED: Readonly<Record<Footing, Record<MarkTag, Expected>>> = {
  none: preparedBehind(BEFORE_RECEIPT.none),
  synchronous: preparedBehind(BEFORE_RECEIPT.synchronous),
  plain: preparedBehind(BEFORE_RECEIPT.plain),
}

function preparedBehind({ tags }: Part): Record<MarkTag, Expected> {
  const behind = (tag: MarkTag): Expected => prepared([...tags, tag])
  return { 'INSERT 0 1': behind('INSERT 0 1'), 'SELECT 1': behind('SELECT 1') }
}

/**
 * The proof runs what was deferred, and that may end the transaction: a COMMIT or ROLLBACK that a
 * trigger hides takes effect at the end of the message, with a yes of every statement in it. Where
 * the message ends with PREPARE or COMMIT, the server ends the session instead. Where it does not,
 * it is watched whether the transaction outlives it; and if that can't be heard, another message
 * executes a portal that was bound in it. That one may run nothing of the user's: what was deferred
 * can have deferred something again.
 */
const AGAIN = `${PORTAL}_again`
const BIND_AGAIN: Part = { fixed: byPortal(WARN, 'bind'), tags: [] }
const EXECUTE_AGAIN: Part = { fixed: byPortal(WARN, 'execute'), tags: WARN.tags }
export const PROVE_AGAIN: EndMessage = {
  fixed: EXECUTE_AGAIN.fixed,
  expected: open(EXECUTE_AGAIN.tags),
}

function byPortal({ fixed }: Part, step: 'bind' | 'execute'): readonly Statement[] {
  return fixed.map((statement) => ({ ...statement, portal: { name: AGAIN, step } }))
}

const SECURED = forAny((durable) => together(PROOF, BIND_AGAIN, WARN, durable))
const BEFORE_CLAIM = forAny((durable) =>
  together(PROOF, BIND_AGAIN, WARN, durable, OWN_ROLE, WATCHING),
)

export const COMMIT: Statement = { text: 'COMMIT', again: true, tag: 'COMMIT' }
/** COMMIT behind what has to be true first, in one message. */
function thenCommit({ fixed, tags }: Part): EndMessage {
  return { fixed: [...fixed, COMMIT], expected: committed(tags) }
}

/**
 * COMMIT of a branch without a mark. What the session says of synchronous_commit stays: one database
 * alone is as durable as its owner wants it.
 */
const COMMIT_ALONE: Readonly<Record<Footing, EndMessage>> = {
  ...forBoth(() => thenCommit(together(PROOF, WARN))),
  plain: thenCommit(PROOF),
}

export function commitAloneMessage(footing: Footing): EndMessage {
  return COMMIT_ALONE[footing]
}

/**
 * How much of what must be true of its COMMIT a decider was asked for beforehand: nothing; everything, and
 * it was heard that the transaction was still there; everything, and that was asked as well.
 */
export type DeciderClaim = 'unsecured' | 'secured' | 'proven'

/**
 * The settings are set once more: what was deferred may have gone back to a savepoint, and they with it.
 * So would a claim that was written anew; then the portal that was bound behind it is gone as well.
 */
const COMMIT_CLAIMED: Readonly<Record<DeciderClaim, Record<Footing, EndMessage>>> = {
  // A function can have changed it, unseen: the decision's own durability is never taken for granted.
  unsecured: {
    ...forBoth((durable) => thenCommit(together(PROOF, WARN, durable))),
    plain: thenCommit(together(PROOF, DURABLE.none)),
  },
  secured: forAny((durable) => thenCommit(together(EXECUTE_AGAIN, durable))),
  proven: forAny((durable) => thenCommit(together(WARN, durable))),
}

/** COMMIT of a decider that has claimed. */
export function decideMessage(claim: DeciderClaim, footing: Footing): EndMessage {
  return COMMIT_CLAIMED[claim][footing]
}

/** From there on only Assent talks to this connection, which may be idle for a shorter time. */
function idleFor(before: Part, idleMs: number | undefined): Part {
  if (idleMs === undefined) return before
  // Hardly ever the same again.
  const { text } = setIdle(idleMs)
  return together(before, { fixed: [{ text }], tags: ['SET'] })
}

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
  const text = textOf(names, 'claim first', () => `${claimSql(names)} RETURNING ctid`)
  return { text, values: markValues(mark), again: true }
}

/**
 * What remains to be seen to before the COMMIT of a decider that claimed first, and whether its row is
 * still there: a statement of the user's may have deleted it. (No savepoint of his is older.) A division
 * by zero stops the message if it is gone. By ctid: under SERIALIZABLE a look at the index would be in
 * conflict with every other claim on the same page.
 */
export function securedMessage(
  { names, footing }: MarkFacts,
  claim: FirstClaim,
  idleMs: number | undefined,
): MarkMessage {
  const before = idleFor(SECURED[footing], idleMs)
  const text = textOf(names, 'there', () =>
    orStop(`EXISTS (SELECT FROM ${names.mark} AS mark WHERE ${claimAt(1, 2)})`),
  )
  return {
    fixed: before.fixed,
    own: [{ text, values: [claim.ctid, claim.mark.id.txid], again: true }],
    expected: open([...before.tags, 'SELECT 1']),
    markAt: before.tags.length,
  }
}

/** The row of a claim that this transaction has written; `$ctid` and `$txid` by their numbers. */
function claimAt(ctid: number, txid: number): string {
  return `mark.ctid OPERATOR(pg_catalog.=) $${ctid}::pg_catalog.tid
  AND mark.txid OPERATOR(pg_catalog.=) $${txid}::pg_catalog.text`
}

function orStop(condition: string): string {
  return `SELECT 1 OPERATOR(pg_catalog./) CASE WHEN ${condition} THEN 1 ELSE 0 END`
}

/** What a mark is written with, at the end of the user's work. */
export interface MarkFacts {
  readonly names: SchemaNames
  readonly footing: Footing
  readonly mark: Mark
  /** A claim that this very transaction has written, and that has become another mark. */
  readonly before: FirstClaim | undefined
}

export interface MarkMessage extends EndMessage {
  /** What follows, and is of this transaction alone. */
  readonly own: readonly Statement[]
  /** How many answers precede the one to the mark itself. */
  readonly markAt: number
}

/** Writes the claim; from there on the session may be idle for `idleMs`, if given. */
export function claimMessage(facts: MarkFacts, idleMs: number | undefined): MarkMessage {
  const before = idleFor(BEFORE_CLAIM[facts.footing], idleMs)
  return {
    fixed: before.fixed,
    own: [markStatement(facts, 'claim')],
    expected: open([...before.tags, markTag(facts)]),
    markAt: before.tags.length,
  }
}

/** Writes the receipt and prepares: under one Sync, so that a failed receipt skips the PREPARE. */
export function voteMessage(facts: MarkFacts, gid: string): MarkMessage {
  const { fixed, tags } = BEFORE_RECEIPT[facts.footing]
  return {
    fixed,
    own: [
      markStatement(facts, 'receipt'),
      // The gid can't be a parameter. Its alphabet needs no quoting (see protocol/id.ts).
      { text: `PREPARE TRANSACTION '${gid}'` },
    ],
    expected: PREPARED[facts.footing][markTag(facts)],
    markAt: tags.length,
  }
}

/** A claim that is made another mark is changed by a SELECT. */
type MarkTag = 'INSERT 0 1' | 'SELECT 1'

function markTag({ before: written }: MarkFacts): MarkTag {
  return written === undefined ? 'INSERT 0 1' : 'SELECT 1'
}

// --- the row ----------------------------------------------------------------------------------

function markStatement(
  { names, mark, before: written }: MarkFacts,
  which: 'claim' | 'receipt',
): Statement {
  const kind = written === undefined ? which : 'rewrite'
  const sql = { claim: claimSql, receipt: receiptSql, rewrite: rewriteSql }[kind]
  const text = textOf(names, kind, () => sql(names))
  const values = markValues(mark)
  if (written !== undefined) values.push(written.ctid)
  return { text, values, again: true }
}

// Every name is written with its schema, so that no search path of the user's means another one.

const COLUMNS = 'txid, decision, app, register, epoch, participants'

/** The claim, if the epoch is listed and of the present server. */
function claimSql(names: SchemaNames): string {
  return `INSERT INTO ${names.mark} (${COLUMNS})
SELECT $1::pg_catalog.text, 'commit', $2::pg_catalog.text, $3::pg_catalog.text, epoch.id,
  $5::pg_catalog.text[]
FROM ${names.epoch} AS epoch WHERE epoch.id OPERATOR(pg_catalog.=) $4::pg_catalog.text
  AND epoch.server OPERATOR(pg_catalog.=) ${TIMELINE}`
}

function receiptSql(names: SchemaNames): string {
  return `INSERT INTO ${names.mark} (${COLUMNS})
VALUES ($1::pg_catalog.text, 'commit', $2::pg_catalog.text, $3::pg_catalog.text,
  $4::pg_catalog.text, $5::pg_catalog.text[])`
}

/** Makes another mark of a claim that this transaction has written; stops if its row is gone. */
function rewriteSql(names: SchemaNames): string {
  return `WITH changed AS (
  UPDATE ${names.mark} AS mark SET app = $2::pg_catalog.text, register = $3::pg_catalog.text,
    epoch = $4::pg_catalog.text, participants = $5::pg_catalog.text[]
  WHERE ${claimAt(6, 1)} RETURNING 1)
${orStop('EXISTS (SELECT FROM changed)')}`
}

function markValues({ id, participants }: Mark): string[] {
  let array = '{'
  // Quoted: a bare null would be SQL's.
  for (const name of participants) array += array === '{' ? `"${name}"` : `,"${name}"`
  return [id.txid, id.app, id.register, id.epoch, `${array}}`]
}

/** Ends a prepared branch. Stands alone in its message: PostgreSQL refuses it inside a block. */
export function endStatement(gid: string, decision: 'commit' | 'abort'): Statement {
  return { text: `${decision === 'commit' ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'` }
}
