/**
 * Whether a server may be marked: its tables, its durability, its privileges, its way with XA.
 *
 * Owns: creating the tables on first use, and going through the checks (`site-findings`).
 * Promises: checked before anything of a transaction is marked; remembered once it passed.
 * Never: waits long for a lock. DDL that queues behind a prepared branch makes everyone else queue
 * behind the DDL.
 */
import { AssentError } from '../../protocol/index.ts'
import type { ErrorCode } from '../../protocol/index.ts'
import type { Examination, Finding, MarkSite, World } from '../../ports/index.ts'
import { advice, findingOf, medianMs, ok, requireNone } from '../common/findings.ts'
import { connectError } from './connect-errors.ts'
import { isServerError, wordsOf } from './driver.ts'
import { statementsFindings } from './messages.ts'
import type { Statements } from './messages.ts'
import { SCHEMA_VERSION, presentSql, quote, schemaSql, schemaStatements } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'
import {
  SETTINGS,
  doctorFindings,
  isOn,
  isReadOnly,
  mayNotList,
  serverFindings,
  tableFindings,
} from './site-findings.ts'
import type { Settings } from './site-findings.ts'
import { ownWriteSql } from './register.ts'

/** How long first use waits for another process that creates the tables. */
const FIRST_USE_S = 10
/** How often a list of epochs is tried to be emptied; each waits for a lock as long as the session says. */
const EMPTYING_ATTEMPTS = 10
/** No privilege, in its many forms. */
const DENIED = new Set([1044, 1142, 1143, 1227, 1401])

export class Site {
  readonly #participant: string
  readonly #names: SchemaNames
  readonly #connections: ServiceConnections
  /** The user's option. */
  readonly #statements: Statements | undefined
  #checked: Promise<MarkSite> | undefined
  #known: MarkSite | undefined
  #present: Promise<string> | undefined

  constructor(
    participant: string,
    names: SchemaNames,
    connections: ServiceConnections,
    statements: Statements | undefined,
  ) {
    this.#participant = participant
    this.#names = names
    this.#connections = connections
    this.#statements = statements
  }

  /** What `ready` resolved with, as long as that stands. */
  get known(): MarkSite | undefined {
    return this.#known
  }

  /** @throws AssentError that says what to change */
  ready(): Promise<MarkSite> {
    this.#checked ??= this.#remember()
    return this.#checked
  }

  async #remember(): Promise<MarkSite> {
    try {
      this.#known = await this.#connections.use((connection) => this.#check(connection))
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
    this.#present = undefined
  }

  /** SQL that says which server this is, and which tables. @throws NoConnection, or the server's error */
  present(): Promise<string> {
    this.#present ??= this.#connections
      .use((connection) => identityOf(connection))
      .then((identity) => presentSql(this.#names, identity))
      .catch((error: unknown) => {
        this.#present = undefined
        throw error
      })
    return this.#present
  }

  /** Creates the tables, or only returns their SQL. */
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
    const sql = `DELETE FROM ${this.#names.epoch};`
    if (options.print) return sql
    try {
      await this.#connections.use(async (connection) => {
        // Without tables, as in a new database in its place, there is nothing that it could remember.
        if (!(await this.#hasTables(connection))) return
        await this.#emptyEpochs(connection)
      })
    } catch (error) {
      throw this.#explain(error)
    }
    return sql
  }

  /** Claims that are open keep the rows locked, until their transactions end or are prepared. */
  async #emptyEpochs(connection: ServiceConnection): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await connection.acknowledged(() => connection.rows(`DELETE FROM ${this.#names.epoch}`))
        return
      } catch (error) {
        const isLocked = isServerError(error) && error.errno === 1205
        if (!isLocked) throw error
        if (attempt < EMPTYING_ATTEMPTS) continue
        throw new AssentError({
          code: 'ASSENT_UNCLEAR',
          outcome: 'unknown',
          message:
            `Participant ${this.#participant} keeps its list of epochs: transactions that are open have it ` +
            `locked. Stop the application, or end its sessions, and run this again`,
          cause: error,
        })
      }
    }
  }

  async #check(connection: ServiceConnection): Promise<MarkSite> {
    const settings = await settingsOf(connection)
    this.#require(this.#serverFindings(settings, connection))
    this.#require(await examineXa(connection))
    if (!(await this.#isCreated(connection))) await this.#create(connection)
    this.#require(await this.#examineTables(connection))
    const identity = await identityOf(connection)
    const [row] = await connection.rows(
      `SELECT CONCAT_WS(':', ${identity.map((name) => `@@global.${name}`).join(', ')})`,
    )
    // With the start of its server: two servers grown from one disk image are two.
    return { databaseId: `${row?.[0] ?? ''} ${connection.server.owner.start}` }
  }

  #serverFindings(settings: Settings, { server }: ServiceConnection): readonly Finding[] {
    return [...serverFindings(settings), ...statementsFindings(this.#statements, server)]
  }

  #require(findings: readonly Finding[]): void {
    requireNone(this.#participant, findings)
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
    const { server } = connection
    const settings = await settingsOf(connection)
    const isCreated = await this.#isCreated(connection)
    const tables = isCreated ? await this.#examineTablesSafely(connection) : [MISSING]
    const mayWrite = tables.every(({ severity }) => severity === 'ok') && !isReadOnly(settings)
    const product = server.flavour === 'mariadb' ? 'MariaDB' : 'MySQL'
    const binlog = isOn(settings, 'log_bin') ? ' with a binary log' : ''
    return {
      server: `${product} ${/^[0-9.]*[0-9]/.exec(server.version)?.[0] ?? server.version}${binlog}`,
      canPrepare: true,
      // With a binary log it is prepared even where it decides: see `branch.ts`.
      asDecider: isOn(settings, 'log_bin') ? 'no matter' : 'better',
      findings: [
        ...this.#serverFindings(settings, connection),
        ...(await examineXa(connection)),
        ...tables,
        ...doctorFindings(settings, server),
      ],
      roundTripMs: await medianMs(world, () => connection.rows('SELECT 1')),
      forcedWriteMs: mayWrite
        ? await medianMs(world, () =>
            connection.acknowledged(() => connection.rows(ownWriteSql(this.#names))),
          )
        : undefined,
    }
  }

  async #examineTablesSafely(connection: ServiceConnection): Promise<readonly Finding[]> {
    try {
      return await this.#examineTables(connection)
    } catch (error) {
      return [findingOf(this.#explain(error))]
    }
  }

  /**
   * Whether creating them has come to its end. DDL is no transaction here: whoever was at it may have
   * been killed between any two statements, or be still at it. The version is written last.
   */
  async #isCreated(connection: ServiceConnection): Promise<boolean> {
    if (!(await this.#hasTables(connection))) return false
    return (await connection.rows(`SELECT version FROM ${this.#names.server}`)).length > 0
  }

  async #hasTables(connection: ServiceConnection): Promise<boolean> {
    const rows = await connection.rows(
      `SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quote(this.#names.plain)}
  AND TABLE_NAME IN ('mark', 'epoch', 'server')`,
    )
    return rows.length === 3
  }

  /** @throws the server's error, where a table or a privilege is not as it should be */
  async #examineTables(connection: ServiceConnection): Promise<readonly Finding[]> {
    const { plain, mark, epoch, server } = this.#names
    const strange = await connection.rows(
      `SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES
WHERE TABLE_SCHEMA = ${quote(plain)} AND TABLE_NAME IN ('mark', 'epoch', 'server') AND ENGINE <> 'InnoDB'`,
    )
    const [row] = await connection.rows(`SELECT version FROM ${server}`)
    const findings = tableFindings(this.#names, strange, row?.[0] ?? undefined)
    if (findings.some(({ severity }) => severity === 'must change')) return findings
    // Whether every privilege is there, and every column: nothing is changed by these.
    for (const text of [
      `SELECT txid, decision, app, register, epoch, participants, asked, marked_at FROM ${mark} LIMIT 0`,
      `SELECT id, ordinal, server, opened_at FROM ${epoch} LIMIT 0`,
      ...[mark, epoch, server].flatMap((table) => [
        `DELETE FROM ${table} WHERE false`,
        `INSERT INTO ${table} SELECT * FROM ${table} WHERE false`,
      ]),
      `UPDATE ${mark} SET asked = asked WHERE false`,
      `UPDATE ${server} SET readings = readings WHERE false`,
    ]) {
      await connection.rows(text)
    }
    return findings
  }

  async #create(connection: ServiceConnection): Promise<void> {
    const lock = quote(`assent-schema.${this.#names.plain}`)
    await connection.rows(`SELECT GET_LOCK(${lock}, ${FIRST_USE_S})`)
    try {
      for (const statement of schemaStatements(this.#names)) await connection.rows(statement)
    } catch (error) {
      if (await this.#isCreated(connection)) return
      throw this.#refuse(
        'ASSENT_SCHEMA_MISSING',
        `Assent's tables are missing and could not be created: ${wordsOf(error)}. ` +
          `Run this as a user who may:\n${schemaSql(this.#names)}`,
        error,
      )
    } finally {
      await connection.send(`SELECT RELEASE_LOCK(${lock})`)
    }
  }

  #explain(error: unknown): AssentError {
    if (error instanceof AssentError) return error
    if (isServerError(error) && DENIED.has(error.errno)) {
      return this.#refuse(
        'ASSENT_PRIVILEGE',
        `${wordsOf(error)}. Grant its user SELECT, INSERT, UPDATE and DELETE on ${this.#names.schema}.*`,
        error,
      )
    }
    // 1054: no such column. 1146, 1049: no such table or database.
    if (isServerError(error) && [1054, 1146, 1049].includes(error.errno)) {
      return this.#refuse(
        'ASSENT_SCHEMA_VERSION',
        `the tables in ${this.#names.schema} are not those of version ${SCHEMA_VERSION}: ` +
          `${wordsOf(error)}. Run the Assent that made them, or migrate`,
        error,
      )
    }
    return connectError(this.#participant, error)
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

const MISSING = advice(
  "Assent's tables are not there yet; the first use creates them, if its user may",
  'To have them beforehand, run assent migrate',
)

async function examineXa(connection: ServiceConnection): Promise<readonly Finding[]> {
  const reply = await connection.send('XA RECOVER')
  if (reply.kind === 'answered') return [ok('its user may list prepared branches')]
  if (reply.kind === 'refused' && DENIED.has(reply.error.errno)) return [mayNotList(reply.error)]
  throw reply.kind === 'refused' ? reply.error : (reply.cause as Error)
}

/** Those that this server has. */
async function settingsOf(connection: ServiceConnection): Promise<Settings> {
  const rows = await connection.rows(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${SETTINGS.map(quote).join(', ')})`,
  )
  return new Map(rows.map(([name, value]) => [name ?? '', value ?? '']))
}

/** Names of the global variables that together identify the server. */
async function identityOf(connection: ServiceConnection): Promise<readonly string[]> {
  if (connection.server.flavour === 'mysql') return ['server_uuid']
  // MariaDB has no id that it keeps for life. `server_uid` came in the middle of each series.
  const uid = await connection.rows("SHOW GLOBAL VARIABLES LIKE 'server_uid'")
  return ['hostname', 'port', ...(uid.length > 0 ? ['server_uid'] : [])]
}
