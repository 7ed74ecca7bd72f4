/**
 * The checks of a PostgreSQL database: one list, for whoever wants to mark and for `assent doctor`.
 *
 * Owns: what is asked, what must be true, and the words that say what to change.
 * Never: changes anything.
 */
import type { Finding } from '../../ports/index.ts'
import { advice, mustChange, ok } from '../common/findings.ts'
import { SCHEMA_VERSION } from './schema.ts'
import type { SchemaNames } from './schema.ts'

type Row = readonly (string | null)[]

/** Settings of the server, which a person can change. */
export interface ServerFacts {
  readonly fsync: string
  readonly fullPages: string
  readonly isReplica: boolean
}

/** Assent's tables, as `siteSql` finds them. */
export interface TableFacts extends ServerFacts {
  readonly version: string | undefined
  readonly unlogged: string | undefined
  readonly isPrivileged: boolean
  readonly role: string
  /** With the start of its server: two servers grown from one disk image are two databases. */
  readonly databaseId: string
}

/** Reads the row of `siteSql`. */
export function tableFactsOf(row: Row): TableFacts {
  const [version, , here, fsync, fullPages, replica, unlogged, privileged, role, start] = row
  return {
    version: version ?? undefined,
    fsync: fsync ?? 'unknown',
    fullPages: fullPages ?? 'unknown',
    isReplica: replica === 'true',
    unlogged: unlogged ?? undefined,
    isPrivileged: privileged === 'true',
    role: role ?? 'the role',
    databaseId: `${here ?? ''} ${start ?? ''}`,
  }
}

/** What must be true of the server before anything is marked. */
export function serverFindings(facts: ServerFacts): readonly Finding[] {
  const findings: Finding[] = []
  if (facts.isReplica) {
    findings.push(
      mustChange(
        'ASSENT_REPLICA',
        'it is a read-only replica',
        'Connect to the primary, or declare it in `reads`',
      ),
    )
  }
  for (const [setting, value] of [
    ['fsync', facts.fsync],
    ['full_page_writes', facts.fullPages],
  ] as const) {
    if (value === 'on') {
      findings.push(ok(`${setting} is on`))
      continue
    }
    const what = `${setting} is ${value}, so a crash can undo what was answered`
    findings.push(mustChange('ASSENT_NOT_DURABLE', what, `Set ${setting} = on`))
  }
  return findings
}

/** What must be true of Assent's tables. */
export function tableFindings(names: SchemaNames, facts: TableFacts): readonly Finding[] {
  const { version, unlogged, isPrivileged, role } = facts
  const findings: Finding[] = []
  if (version !== String(SCHEMA_VERSION)) {
    findings.push(
      mustChange(
        'ASSENT_SCHEMA_VERSION',
        `the tables in schema ${names.schema} are of version ${version ?? 'none'}, and this ` +
          `Assent needs ${SCHEMA_VERSION}`,
        'Run the Assent that made them, or migrate',
      ),
    )
  }
  if (unlogged !== undefined) {
    findings.push(
      mustChange(
        'ASSENT_NOT_DURABLE',
        `these tables of Assent are not logged: ${unlogged}`,
        'Run ALTER TABLE … SET LOGGED',
      ),
    )
  }
  if (!isPrivileged) {
    findings.push(
      mustChange(
        'ASSENT_PRIVILEGE',
        `role ${role} may not read and write Assent's tables`,
        `Run GRANT SELECT, INSERT, UPDATE, DELETE ON ${names.mark}, ${names.epoch}, ` +
          `${names.database} TO ${role}`,
      ),
    )
  }
  return findings.length > 0
    ? findings
    : [ok(`Assent's tables are there, logged, and ${role} may write them`)]
}

/** What `assent doctor` asks beside `siteSql`; needs no table of ours. */
export const DOCTOR = `SELECT current_setting('server_version'), current_setting('fsync'),
  current_setting('full_page_writes'), pg_is_in_recovery()::text,
  current_setting('max_prepared_transactions'), current_setting('max_connections'),
  has_database_privilege(current_database(), 'CREATE')::text, current_user::text,
  current_setting('server_version_num')`

export interface DoctorFacts extends ServerFacts {
  readonly version: string
  readonly versionNumber: number
  readonly maxPrepared: number
  readonly maxConnections: number
  readonly mayCreate: boolean
  readonly role: string
}

export function doctorFactsOf(row: Row): DoctorFacts {
  const [version, fsync, fullPages, replica, maxPrepared, maxConnections, create, role, number] =
    row
  return {
    // Debian adds its own words.
    version: (version ?? 'unknown').split(' ')[0] ?? 'unknown',
    versionNumber: Number(number),
    fsync: fsync ?? 'unknown',
    fullPages: fullPages ?? 'unknown',
    isReplica: replica === 'true',
    maxPrepared: Number(maxPrepared),
    maxConnections: Number(maxConnections),
    mayCreate: create === 'true',
    role: role ?? 'the role',
  }
}

const OLDEST_VERSION = 140_000

/** What a person should know beside what must be true. */
export function doctorFindings(name: string, facts: DoctorFacts): readonly Finding[] {
  const { version, versionNumber, maxPrepared, maxConnections } = facts
  const findings: Finding[] = []
  if (versionNumber < OLDEST_VERSION) {
    const what = `it is PostgreSQL ${version}, and Assent needs 14 or newer`
    findings.push(mustChange('ASSENT_UNSUPPORTED', what, 'Upgrade it'))
  }
  if (maxPrepared === 0) {
    findings.push(
      advice(
        'max_prepared_transactions is 0: it can decide, be read, or be the only one that writes',
        `Leave it so if it decides (decider: '${name}'); else run ALTER SYSTEM SET ` +
          `max_prepared_transactions = ${maxConnections}, and restart it`,
      ),
    )
  } else if (maxPrepared < maxConnections) {
    findings.push(
      advice(
        `max_prepared_transactions is ${maxPrepared}, below max_connections (${maxConnections}): ` +
          'under load, votes can be refused',
        `Run ALTER SYSTEM SET max_prepared_transactions = ${maxConnections}, and restart it`,
      ),
    )
  } else {
    findings.push(ok(`max_prepared_transactions is ${maxPrepared}`))
  }
  return findings
}

/** Where the tables are not there yet. */
export function missingFindings(names: SchemaNames, facts: DoctorFacts): readonly Finding[] {
  if (facts.isReplica) return []
  if (facts.mayCreate) {
    const what = `Assent's tables are not there yet; the first use creates them`
    return [advice(what, 'To have them beforehand, run assent migrate')]
  }
  return [
    mustChange(
      'ASSENT_SCHEMA_MISSING',
      `Assent's tables are missing, and role ${facts.role} may not create the schema ${names.schema}`,
      'Run what assent migrate --print prints, as a role that may',
    ),
  ]
}
