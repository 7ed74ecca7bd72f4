/**
 * Whether a database may be marked: its schema, its durability, its privileges.
 *
 * Owns: creating the schema on first use, and the sentences that say what to change.
 * Promises: checked before anything of a transaction is marked; remembered once it passed.
 * Never: waits long for a lock. DDL that queues behind a prepared transaction makes everyone else
 * queue behind the DDL.
 */
import { AssentError } from '../../protocol/index.ts'
import type { ErrorCode } from '../../protocol/index.ts'
import type { MarkSite } from '../../ports/index.ts'
import { acknowledged } from './acknowledged.ts'
import { connectError } from './connect-errors.ts'
import { isServerError } from './driver.ts'
import { restoredSql } from './epochs.ts'
import { SCHEMA_VERSION, existsSql, schemaSql, siteSql } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { NoConnection } from '../common/slots.ts'
import { answered } from './service-connections.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'

/** The longest that our DDL waits for a lock. */
const DDL_LOCK_TIMEOUT_MS = 2_000
/** The advisory lock of first use, so that processes that start together don't collide. */
const FIRST_USE_LOCK = 4_736_611

export class Site {
  readonly #participant: string
  readonly #names: SchemaNames
  readonly #connections: ServiceConnections
  #checked: Promise<MarkSite> | undefined
  #known: MarkSite | undefined

  constructor(participant: string, names: SchemaNames, connections: ServiceConnections) {
    this.#participant = participant
    this.#names = names
    this.#connections = connections
  }

  /** What `ready` resolved with, as long as that stands. */
  get known(): MarkSite | undefined {
    return this.#known
  }

  /** @throws AssentError that says what to change */
  ready(): Promise<MarkSite> {
    this.#checked ??= this.#remember(this.#check())
    return this.#checked
  }

  async #remember(check: Promise<MarkSite>): Promise<MarkSite> {
    try {
      this.#known = await check
      return this.#known
    } catch (error) {
      this.#checked = undefined
      throw this.#explain(error)
    }
  }

  /** Checks again at the next use. */
  forget(): void {
    this.#checked = undefined
    this.#known = undefined
  }

  /** Creates the schema, or only returns its SQL. */
  async migrate(options: { readonly print: boolean }): Promise<string> {
    const sql = schemaSql(this.#names)
    if (options.print) return sql
    try {
      await this.#connections.use((connection) => this.#create(connection))
    } catch (error) {
      throw this.#explain(error)
    }
    return sql
  }

  /** Empties the list of epochs, or only returns the SQL. */
  async restored(options: { readonly print: boolean }): Promise<string> {
    const sql = restoredSql(this.#names)
    if (options.print) return sql
    try {
      await this.#connections.use((connection) => acknowledged(connection, [{ text: sql }]))
    } catch (error) {
      throw this.#explain(error)
    }
    return sql
  }

  async #check(): Promise<MarkSite> {
    return this.#connections.use(async (connection) => {
      const [exists] = await row(connection, existsSql(this.#names))
      if (exists !== 't') await this.#create(connection)
      return this.#judge(await row(connection, siteSql(this.#names)))
    })
  }

  #judge(facts: readonly (string | null)[]): MarkSite {
    const [version, , here, fsync, fullPages, replica, unlogged, privileged, role, start] = facts
    if (replica === 'true') {
      throw this.#refuse(
        'ASSENT_REPLICA',
        'it is a read-only replica. Connect to the primary, or declare it in `reads`',
      )
    }
    if (version !== String(SCHEMA_VERSION)) {
      throw this.#refuse(
        'ASSENT_SCHEMA_VERSION',
        `the tables in schema ${this.#names.schema} are of version ${version ?? 'none'}, and this ` +
          `Assent needs ${SCHEMA_VERSION}. Run the Assent that made them, or migrate`,
      )
    }
    for (const [setting, value] of [
      ['fsync', fsync],
      ['full_page_writes', fullPages],
    ] as const) {
      if (value === 'on') continue
      throw this.#refuse(
        'ASSENT_NOT_DURABLE',
        `${setting} is ${value ?? 'unknown'}, so a crash can undo what was answered. ` +
          `Set ${setting} = on`,
      )
    }
    if (unlogged != null) {
      throw this.#refuse(
        'ASSENT_NOT_DURABLE',
        `these tables of Assent are not logged: ${unlogged}. Run ALTER TABLE … SET LOGGED`,
      )
    }
    if (privileged !== 'true') {
      throw this.#refuse(
        'ASSENT_PRIVILEGE',
        `role ${role ?? ''} may not read and write Assent's tables. Run GRANT SELECT, INSERT, ` +
          `UPDATE, DELETE ON ${this.#names.mark}, ${this.#names.epoch}, ` +
          `${this.#names.database} TO ${role ?? 'the role'}`,
      )
    }
    // With the start of its server: two servers grown from one disk image are two databases.
    return { databaseId: `${here ?? ''} ${start ?? ''}` }
  }

  async #create(connection: ServiceConnection): Promise<void> {
    const statements = [
      'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
      `SET LOCAL lock_timeout = ${DDL_LOCK_TIMEOUT_MS}`,
      `SELECT pg_advisory_xact_lock(${FIRST_USE_LOCK})`,
      ...schemaSql(this.#names)
        .split(/;\n/)
        .map((statement) => statement.trim())
        .filter((statement) => statement !== ''),
      'COMMIT',
    ]
    const reply = await connection.send(statements.map((text) => ({ text })))
    if (reply.kind === 'lost') throw new NoConnection('the connection was lost', reply)
    if (reply.error === undefined) return
    await connection.send([{ text: 'ROLLBACK' }])
    const [exists] = await row(connection, existsSql(this.#names))
    if (exists === 't') return
    throw this.#refuse(
      'ASSENT_SCHEMA_MISSING',
      `Assent's tables are missing and could not be created: ${reply.error.message} ` +
        `(${reply.error.code}). Run this as a role that may:\n${schemaSql(this.#names)}`,
      reply.error,
    )
  }

  #explain(error: unknown): AssentError {
    if (error instanceof AssentError) return error
    if (isServerError(error) && error.code === '42501') {
      return this.#refuse(
        'ASSENT_PRIVILEGE',
        `${error.message}. Grant the pool's role USAGE on schema ${this.#names.schema} and ` +
          `SELECT, INSERT, UPDATE, DELETE on its tables`,
        error,
      )
    }
    if (isServerError(error) && ['42703', '42P01'].includes(error.code)) {
      return this.#refuse(
        'ASSENT_SCHEMA_VERSION',
        `the tables in schema ${this.#names.schema} are not those of version ${SCHEMA_VERSION}: ` +
          `${error.message}. Run the Assent that made them, or migrate`,
        error,
      )
    }
    return connectError(
      this.#participant,
      error instanceof NoConnection ? (error.cause ?? error) : error,
    )
  }

  #refuse(code: ErrorCode, what: string, cause?: unknown): AssentError {
    return new AssentError({
      code,
      outcome: 'aborted',
      message: `Participant ${this.#participant} can't take part in two-phase commit: ${what}.`,
      cause,
    })
  }
}

async function row(
  connection: ServiceConnection,
  text: string,
): Promise<readonly (string | null)[]> {
  const { rows } = await answered(connection, [{ text }])
  return rows[0]?.[0] ?? []
}
