/**
 * Assent's tables in one PostgreSQL database.
 *
 * Owns: their definition (printed in full in `docs/reference/schema.md`, which a test compares).
 * Promises: creating them is idempotent, never waits long behind another lock, and never changes
 * what a table holds.
 * Never: drops anything, or alters a table.
 */
export const SCHEMA_VERSION = 1

/** The quoted names of everything in the schema. */
export interface SchemaNames {
  readonly schema: string
  readonly mark: string
  readonly epoch: string
  readonly database: string
  readonly resolution: string
  readonly inDoubt: string
  /** SQL that identifies this very database: cluster and database, not a name that can move. */
  readonly origin: string
}

const ORIGIN = `(SELECT control.system_identifier || '-' || database.oid
    FROM pg_control_system() AS control, pg_database AS database
    WHERE database.datname = current_database())`

export function schemaNames(schema: string): SchemaNames {
  const quoted = quoteIdentifier(schema)
  return {
    schema: quoted,
    mark: `${quoted}.mark`,
    epoch: `${quoted}.epoch`,
    database: `${quoted}.database`,
    resolution: `${quoted}.resolution`,
    inDoubt: `${quoted}.in_doubt`,
    origin: ORIGIN,
  }
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The SQL that creates everything, for a person or for `readyToMark` to run. */
export function schemaSql(names: SchemaNames): string {
  return `-- Assent's tables, version ${SCHEMA_VERSION}. Run as the role that the application logs in as,
-- or grant it USAGE on the schema, SELECT, INSERT, UPDATE and DELETE on the tables, and SELECT on the view.
CREATE SCHEMA IF NOT EXISTS ${names.schema};

-- One row: which database this is, and the version of these tables.
-- After a copy (dump, template), origin still names the database that it was copied from.
CREATE TABLE IF NOT EXISTS ${names.database} (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version  integer NOT NULL,
  id       uuid NOT NULL DEFAULT gen_random_uuid(),
  origin   text NOT NULL,
  reads    bigint NOT NULL DEFAULT 0
);

-- The stretches of this register's life of which it has forgotten nothing.
-- A missing mark means abort only while its epoch is listed here, for the present server.
CREATE TABLE IF NOT EXISTS ${names.epoch} (
  id        text COLLATE "C" PRIMARY KEY,
  ordinal   bigint GENERATED ALWAYS AS IDENTITY,
  origin    text NOT NULL,
  server    text NOT NULL,
  reads     bigint NOT NULL DEFAULT 0,
  opened_at timestamptz NOT NULL DEFAULT now()
);

-- One row per transaction that wrote here and in another database: in the decider it is the claim,
-- and once committed the decision; elsewhere it is the receipt. A decision is settled when every
-- branch has durably applied it; then its receipts are deleted, and in the end the row itself.
CREATE TABLE IF NOT EXISTS ${names.mark} (
  txid         text COLLATE "C" PRIMARY KEY,
  decision     text NOT NULL, -- commit, settled, abort, or heuristic-… (a CHECK is compiled anew for each INSERT)
  app          text NOT NULL,
  register     text NOT NULL,
  epoch        text NOT NULL,
  participants text[] NOT NULL,
  asked        bigint NOT NULL DEFAULT 0,
  marked_at    timestamptz NOT NULL DEFAULT now()
);

${resolutionSql(names)}
-- What is prepared here and waits for its register: for whoever is on call, without Node.
CREATE OR REPLACE VIEW ${names.inDoubt} AS
SELECT date_trunc('milliseconds', now() - prepared.prepared) AS age,
       split_part(prepared.gid, '.', 2) AS app,
       split_part(prepared.gid, '.', 3) AS register,
       split_part(prepared.gid, '.', 5) AS txid,
       split_part(prepared.gid, '.', 6) AS branch,
       CASE
         WHEN prepared.owner <> current_user
           THEN 'owned by ' || prepared.owner || ': only that role or a superuser can end it'
         ELSE 'ask ' || split_part(prepared.gid, '.', 3) || ' for mark ' || split_part(prepared.gid, '.', 5)
       END AS reason,
       prepared.gid,
       prepared.owner
FROM pg_prepared_xacts AS prepared
WHERE prepared.database = current_database() AND prepared.gid LIKE 'A1.%'
ORDER BY prepared.prepared;

INSERT INTO ${names.database} (version, origin)
SELECT ${SCHEMA_VERSION}, ${names.origin} ON CONFLICT DO NOTHING;
`
}

function resolutionSql(names: SchemaNames): string {
  return `-- What people have decided by hand (assent resolve), here or as the register. Never deleted by Assent.
CREATE TABLE IF NOT EXISTS ${names.resolution} (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  txid       text COLLATE "C" NOT NULL,
  app        text NOT NULL,
  register   text NOT NULL,
  epoch      text NOT NULL,
  branch     text NOT NULL,
  decision   text NOT NULL, -- commit or abort
  basis      text NOT NULL, -- register: it was written there first; register-lost: it was not
  decided_by text NOT NULL,
  reason     text NOT NULL,
  at         timestamptz NOT NULL DEFAULT now()
);
`
}

/** Finds out whether the tables are there. `to_regclass` answers null instead of failing. */
export function existsSql(names: SchemaNames): string {
  return `SELECT to_regclass('${names.database.replaceAll("'", "''")}') IS NOT NULL`
}

/**
 * Everything that must be true of a database before it may be marked, in one row. Durability is
 * that of the server: a session's synchronous_commit is raised with each mark.
 */
export function siteSql(names: SchemaNames): string {
  const literal = (name: string): string => `'${name.replaceAll("'", "''")}'`
  const may = (table: string): string =>
    `has_table_privilege(${literal(table)}, 'SELECT') AND has_table_privilege(${literal(table)}, 'INSERT')
      AND has_table_privilege(${literal(table)}, 'UPDATE') AND has_table_privilege(${literal(table)}, 'DELETE')`
  return `SELECT database.version::text, database.origin, ${names.origin} AS here,
  current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery()::text,
  (SELECT string_agg(relname, ', ') FROM pg_class WHERE relpersistence <> 'p'
    AND oid IN (${literal(names.mark)}::regclass, ${literal(names.epoch)}::regclass, ${literal(names.database)}::regclass)),
  (${may(names.mark)} AND ${may(names.epoch)} AND ${may(names.database)})::text, current_user::text,
  extract(epoch FROM pg_postmaster_start_time())::text
FROM ${names.database} AS database`
}
