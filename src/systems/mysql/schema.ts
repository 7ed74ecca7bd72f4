/**
 * Assent's tables in one MySQL or MariaDB server.
 *
 * Owns: their definition, and how names and texts are quoted.
 * Promises: creating them is idempotent, and never changes what a table holds.
 * Never: drops anything, or alters a table.
 */
import type { ServerFacts } from './server-facts.ts'

export const SCHEMA_VERSION = 1

/** No such table, no such database: Assent has never marked anything there. */
export const NO_TABLES: readonly number[] = [1146, 1049]

export interface SchemaNames {
  /** As the user gave it. */
  readonly plain: string
  readonly schema: string
  readonly mark: string
  readonly epoch: string
  readonly server: string
  readonly resolution: string
}

export function schemaNames(plain: string): SchemaNames {
  const schema = quoteIdentifier(plain)
  return {
    plain,
    schema,
    mark: `${schema}.mark`,
    epoch: `${schema}.epoch`,
    server: `${schema}.server`,
    resolution: `${schema}.resolution`,
  }
}

export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

/** Whatever the session's sql_mode: nothing that it would read differently is ever in these texts. */
export function quote(text: string): string {
  if (!/^[A-Za-z0-9_.:,[\]"=+/-]*$/.test(text)) throw new Error('a text that needs escaping')
  return `'${text}'`
}

/**
 * SQL that identifies this very server and these tables: a copy of them, on another server or under
 * another name, is not them.
 */
export function presentSql(names: SchemaNames, identity: readonly string[]): string {
  const parts = [...identity.map((name) => `@@global.${name}`), `'${names.plain}'`]
  return `CONCAT_WS(':', ${parts.join(', ')})`
}

/** The SQL that creates everything, for a person or for `readyToMark` to run. */
export function schemaSql(names: SchemaNames): string {
  return `-- Assent's tables, version ${SCHEMA_VERSION}. Run as a user who may create them, and grant
-- the application's user SELECT, INSERT, UPDATE and DELETE on ${names.schema}.*
CREATE DATABASE IF NOT EXISTS ${names.schema};

-- One row: the version of these tables; and what every durable reading writes.
CREATE TABLE IF NOT EXISTS ${names.server} (
  only_row tinyint NOT NULL DEFAULT 1 PRIMARY KEY,
  version  integer NOT NULL,
  readings bigint NOT NULL DEFAULT 0
) ENGINE = InnoDB;

-- The stretches of this register's life of which it has forgotten nothing.
-- A missing mark means abort only while its epoch is listed here, for the present server.
CREATE TABLE IF NOT EXISTS ${names.epoch} (
  id        varchar(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  ordinal   bigint NOT NULL AUTO_INCREMENT UNIQUE,
  server    varchar(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  opened_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE = InnoDB;

-- One row per transaction that wrote here and in another database: in the decider it is the claim,
-- and once committed the decision; elsewhere it is the receipt. A decision is settled when every
-- branch has durably applied it; then its receipts are deleted, and in the end the row itself.
CREATE TABLE IF NOT EXISTS ${names.mark} (
  txid         varchar(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  decision     varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- commit, settled, abort, heuristic-…
  app          varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  register     varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  epoch        varchar(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  participants text CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- as JSON
  asked        bigint NOT NULL DEFAULT 0,
  marked_at    timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE = InnoDB;

-- What people have decided by hand (assent resolve), here or as the register. Never deleted by Assent.
CREATE TABLE IF NOT EXISTS ${names.resolution} (
  id         bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  txid       varchar(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  app        varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  register   varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  epoch      varchar(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  branch     varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  decision   varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- commit or abort
  basis      varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- register or register-lost
  decided_by text CHARACTER SET utf8mb4 NOT NULL,
  reason     text CHARACTER SET utf8mb4 NOT NULL,
  at         timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE = InnoDB;

-- Never empty: a session without unique checks locks an empty table as a whole.
INSERT IGNORE INTO ${names.mark} (txid, decision, app, register, epoch, participants)
VALUES ('-', 'abort', '', '', '', '[]');

-- The last statement: it says that all of the others have been run.
INSERT IGNORE INTO ${names.server} (version) VALUES (${SCHEMA_VERSION});
`
}

/** The statements of it, in order. */
export function schemaStatements(names: SchemaNames): readonly string[] {
  return schemaSql(names)
    .replace(/^ *-- .*$/gm, '')
    .replace(/ -- .*$/gm, '')
    .split(/;\n/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}

/**
 * What must be true of the server while a mark is written, as a condition: an answered COMMIT survives
 * a crash, in InnoDB and in the binary log that it recovers by; and its replicas get the mark as the row
 * that it is here. Checked with each mark, since any of it can be changed while the server runs, or has
 * been for this session alone.
 */
export function durableSql({ flavour }: ServerFacts): string {
  const inside = flavour === 'mariadb' ? ' AND @@in_transaction' : ''
  return `@@global.innodb_flush_log_at_trx_commit = 1 AND (NOT @@global.log_bin OR
  (@@global.sync_binlog = 1 AND @@session.sql_log_bin AND @@session.binlog_format <> 'STATEMENT'))${inside}`
}
