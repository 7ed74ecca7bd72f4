/**
 * What the steps of the ladder say to PostgreSQL, statement by statement.
 *
 * Owns: the SQL that stands for each guarantee. It is written as Assent writes it; what Assent's own
 * builders can give comes from them.
 */
import {
  COMMIT as COMMIT_STATEMENT,
  TIMELINE,
  WATCH as WATCH_STATEMENT,
  endStatement,
} from '../../src/systems/pg/mark.ts'
import { IDLE_MARGIN_MS } from '../../src/systems/pg/begin.ts'
import type { SchemaNames } from '../../src/systems/pg/schema.ts'
import type { Statement } from '../../src/systems/pg/wire.ts'

/** A statement, and the tag that alone is its yes; one that is only bound has no answer. */
export interface Line extends Statement {
  readonly tag: string
}

/** What one transaction's marks and its prepared branch are made of. */
export interface Ids {
  readonly txid: string
  readonly epoch: string
  /** Of the branch that is prepared. */
  readonly gid: string
}

export const APP = 'ladder'
/** The participant whose COMMIT decides, and the one that prepares. */
export const [DECIDER, PREPARES] = ['stock', 'orders'] as const
const PARTICIPANTS = `{"${DECIDER}","${PREPARES}"}`

/** What `timeoutMs` is by default. */
const TIMEOUT_MS = 30_000

export const BEGIN: Line = { text: 'BEGIN', again: true, tag: 'BEGIN' }
export const COMMIT: Line = { ...COMMIT_STATEMENT, tag: 'COMMIT' }

export const WATCH: Line = { ...WATCH_STATEMENT, tag: 'SET' }

/** Whoever is idle in his transaction for longer has vanished: the server ends his session. */
export const IDLE_TIMEOUT: Line = {
  text: `SET LOCAL idle_in_transaction_session_timeout = ${TIMEOUT_MS + IDLE_MARGIN_MS}`,
  again: true,
  tag: 'SET',
}

/** What the user deferred fails or spoils settings here, before anything of ours is checked. */
export const RUN_DEFERRED: Line = {
  text: 'SET CONSTRAINTS ALL IMMEDIATE',
  again: true,
  tag: 'SET CONSTRAINTS',
}

/** Warnings are on: a cut-off wait for replication is told in no other way. */
export const WARN: Line = {
  text: 'SET LOCAL client_min_messages = warning',
  again: true,
  tag: 'SET',
}
/** The commit waits for the disk. */
export const DURABLE: Line = { text: 'SET LOCAL synchronous_commit = on', again: true, tag: 'SET' }
/** The role that logged in: it owns what is prepared, and recovery logs in as it. */
export const OWN_ROLE: Line = { text: 'SET LOCAL role TO DEFAULT', again: true, tag: 'SET' }

const PORTAL = 'ladder_same_transaction'
/** The same; but what is bound behind BEGIN can only be executed in the same transaction. */
export const BIND_PROOF: Line = { ...RUN_DEFERRED, portal: { name: PORTAL, step: 'bind' } }
export const PROVE: Line = { ...RUN_DEFERRED, portal: { name: PORTAL, step: 'execute' } }

const COLUMNS = '(txid, decision, app, register, epoch, participants)'
const REST = `'commit', $2::pg_catalog.text, $3::pg_catalog.text`
const INSERTED = 'INSERT 0 1'
/** How a claim that goes along with BEGIN tells that it was written. */
const RETURNING = 'RETURNING ctid'

/** Built once: these texts are sent with every transaction. */
export class LadderStatements {
  readonly #mark: string
  readonly #claimInEpoch: string

  constructor(names: SchemaNames) {
    this.#mark = `INSERT INTO ${names.mark} ${COLUMNS}
VALUES ($1::pg_catalog.text, ${REST}, $4::pg_catalog.text, $5::pg_catalog.text[])`
    this.#claimInEpoch = `INSERT INTO ${names.mark} ${COLUMNS}
SELECT $1::pg_catalog.text, ${REST}, epoch.id, $5::pg_catalog.text[]
FROM ${names.epoch} AS epoch WHERE epoch.id OPERATOR(pg_catalog.=) $4::pg_catalog.text
  AND epoch.server OPERATOR(pg_catalog.=) ${TIMELINE} ${RETURNING}`
  }

  claim(ids: Ids): Line {
    return line(`${this.#mark} ${RETURNING}`, ids)
  }

  /** The same row in the other database. */
  receipt(ids: Ids): Line {
    return line(this.#mark, ids)
  }

  /** The claim, if the epoch is listed and of this very server; otherwise `INSERT 0 0`. */
  claimInEpoch(ids: Ids): Line {
    return line(this.#claimInEpoch, ids)
  }
}

function line(text: string, { txid, epoch }: Ids): Line {
  return { text, values: [txid, APP, DECIDER, epoch, PARTICIPANTS], again: true, tag: INSERTED }
}

/** The gid can't be a parameter. */
export function prepare({ gid }: Ids): Line {
  return { text: `PREPARE TRANSACTION '${gid}'`, tag: 'PREPARE TRANSACTION' }
}

export function commitPrepared({ gid }: Ids): Line {
  return { ...endStatement(gid, 'commit'), tag: 'COMMIT PREPARED' }
}

export function rollBackPrepared({ gid }: Ids): Line {
  return { ...endStatement(gid, 'abort'), tag: 'ROLLBACK PREPARED' }
}
