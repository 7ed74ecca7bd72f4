/**
 * Whether a database may be marked: its schema, its durability, its privileges.
 *
 * Owns: creating the schema on first use, and going through the checks (`site-findings`).
 * Promises: checked before anything of a transaction is marked; remembered once it passed.
 * Never: waits long for a lock. DDL that queues behind a prepared transaction makes everyone else
 * queue behind the DDL.
 */
import { AssentError } from '../../protocol/index.ts'
import type { ErrorCode } from '../../protocol/index.ts'
import type { Examination, Finding, MarkSite, World } from '../../ports/index.ts'
import { findingOf, medianMs, requireNone } from '../common/findings.ts'
import { acknowledged } from './acknowledged.ts'
import { connectError } from './connect-errors.ts'
import { isServerError } from './driver.ts'
import { restoredSql } from './epochs.ts'
import { SCHEMA_VERSION, existsSql, schemaSql, siteSql } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import {
  DOCTOR,
  doctorFactsOf,
  doctorFindings,
  missingFindings,
  serverFindings,
  tableFactsOf,
  tableFindings,
} from './site-findings.ts'
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
      await this.#connections.use(async (connection) => {
        // Without tables, as in a new database in its place, there is nothing that it could remember.
        const [exists] = await row(connection, existsSql(this.#names))
        if (exists === 't') await acknowledged(connection, [{ text: sql }])
      })
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

  #judge(row: readonly (string | null)[]): MarkSite {
    const facts = tableFactsOf(row)
    const { databaseId } = facts
    requireNone(this.#participant, [...serverFindings(facts), ...tableFindings(this.#names, facts)])
    return { databaseId }
  }

  /** Every check, for a person. @throws AssentError when there is no connection */
  async examine(world: World): Promise<Examination> {
    try {
      return await this.#connections.use((connection) => this.#examine(world, connection))
    } catch (error) {
      throw this.#explain(error)
    }
  }

  async #examine(world: World, connection: ServiceConnection): Promise<Examination> {
    const facts = doctorFactsOf(await row(connection, DOCTOR))
    const [exists] = await row(connection, existsSql(this.#names))
    const tables = exists === 't' ? await this.#examineTables(connection) : undefined
    const write = { text: `UPDATE ${this.#names.database} SET reads = reads + 1` }
    const mayWrite = tables?.every(({ severity }) => severity === 'ok') === true && !facts.isReplica
    return {
      server: `PostgreSQL ${facts.version}`,
      canPrepare: facts.maxPrepared > 0,
      asDecider: 'no matter',
      findings: [
        ...serverFindings(facts),
        ...doctorFindings(this.#participant, facts),
        ...(tables ?? missingFindings(this.#names, facts)),
      ],
      roundTripMs: await medianMs(world, () => row(connection, 'SELECT 1')),
      forcedWriteMs: mayWrite
        ? await medianMs(world, () => acknowledged(connection, [write]))
        : undefined,
    }
  }

  async #examineTables(connection: ServiceConnection): Promise<readonly Finding[]> {
    try {
      return tableFindings(this.#names, tableFactsOf(await row(connection, siteSql(this.#names))))
    } catch (error) {
      return [findingOf(this.#explain(error))]
    }
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
