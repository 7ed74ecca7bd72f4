/**
 * Whether a server may be marked: its tables, its durability, its privileges, its way with XA.
 *
 * Owns: creating the tables on first use, and the sentences that say what to change.
 * Promises: checked before anything of a transaction is marked; remembered once it passed.
 * Never: waits long for a lock. DDL that queues behind a prepared branch makes everyone else queue
 * behind the DDL.
 */
import { AssentError } from '../../protocol/index.ts'
import type { ErrorCode } from '../../protocol/index.ts'
import type { MarkSite } from '../../ports/index.ts'
import { connectError } from './connect-errors.ts'
import { isServerError, wordsOf } from './driver.ts'
import { SCHEMA_VERSION, presentSql, quote, schemaSql, schemaStatements } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'

/** How long first use waits for another process that creates the tables. */
const FIRST_USE_S = 10
/** No privilege, in its many forms. */
const DENIED = new Set([1044, 1142, 1143, 1227, 1401])

export class Site {
  readonly #participant: string
  readonly #names: SchemaNames
  readonly #connections: ServiceConnections
  #checked: Promise<MarkSite> | undefined
  #known: MarkSite | undefined
  #present: Promise<string> | undefined

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
      await this.#connections.use((connection) =>
        connection.acknowledged(() => connection.rows(`DELETE FROM ${this.#names.epoch}`)),
      )
    } catch (error) {
      throw this.#explain(error)
    }
    return sql
  }

  async #check(connection: ServiceConnection): Promise<MarkSite> {
    if (connection.server.access === 'read-only') {
      throw this.#refuse(
        'ASSENT_REPLICA',
        'its server is read_only: a replica, most likely. Connect to the primary, or declare it in `reads`',
      )
    }
    await this.#judgeSettings(connection)
    await this.#judgeXa(connection)
    if (!(await this.#hasTables(connection))) await this.#create(connection)
    await this.#judgeTables(connection)
    const identity = await identityOf(connection)
    const [row] = await connection.rows(
      `SELECT CONCAT_WS(':', ${identity.map((name) => `@@global.${name}`).join(', ')})`,
    )
    // With the start of its server: two servers grown from one disk image are two.
    return { databaseId: `${row?.[0] ?? ''} ${connection.server.owner.start}` }
  }

  async #judgeSettings(connection: ServiceConnection): Promise<void> {
    const settings = await settingsOf(connection)
    const isOn = (name: string): boolean => ['1', 'ON'].includes(settings.get(name) ?? '')
    if (isOn('wsrep_on')) {
      throw this.#refuse(
        'ASSENT_UNSUPPORTED',
        'it is a node of a Galera cluster, which has no XA and can lose what it has committed. ' +
          'Use a server with ordinary replication, or declare it in `reads`',
      )
    }
    const demands: readonly (readonly [string, boolean, string])[] = [
      [
        'innodb_flush_log_at_trx_commit',
        settings.get('innodb_flush_log_at_trx_commit') === '1',
        '1',
      ],
      ['innodb_doublewrite', settings.get('innodb_doublewrite') !== 'OFF', 'ON'],
      ['sync_binlog', !isOn('log_bin') || settings.get('sync_binlog') === '1', '1'],
    ]
    for (const [name, isMet, value] of demands) {
      if (isMet) continue
      throw this.#refuse(
        'ASSENT_NOT_DURABLE',
        `${name} is ${settings.get(name) ?? 'unknown'}, so a crash can undo what was answered. ` +
          `Run SET GLOBAL ${name} = ${value}, and write it into the server's configuration`,
      )
    }
    if (settings.get('innodb_flush_method') === 'nosync') {
      throw this.#refuse(
        'ASSENT_NOT_DURABLE',
        'innodb_flush_method is nosync, so a crash can undo what was answered. ' +
          'Take it out of the server’s configuration, and restart it',
      )
    }
    if (isOn('log_bin') && settings.get('binlog_format') === 'STATEMENT') {
      throw this.#refuse(
        'ASSENT_UNSUPPORTED',
        'binlog_format is STATEMENT, with which InnoDB refuses READ COMMITTED. ' +
          'Run SET GLOBAL binlog_format = ROW, and write it into the server’s configuration',
      )
    }
    if (settings.get('xa_detach_on_prepare') === 'OFF') {
      throw this.#refuse(
        'ASSENT_UNSUPPORTED',
        'xa_detach_on_prepare is OFF, so that nobody else could end a branch. ' +
          'Run SET GLOBAL xa_detach_on_prepare = ON',
      )
    }
  }

  async #judgeXa(connection: ServiceConnection): Promise<void> {
    const reply = await connection.send('XA RECOVER')
    if (reply.kind === 'answered') return
    if (reply.kind === 'refused' && DENIED.has(reply.error.errno)) {
      throw this.#refuse(
        'ASSENT_PRIVILEGE',
        'its user may not list prepared branches. Run GRANT XA_RECOVER_ADMIN ON *.* TO that user',
        reply.error,
      )
    }
    throw reply.kind === 'refused' ? reply.error : (reply.cause as Error)
  }

  async #hasTables(connection: ServiceConnection): Promise<boolean> {
    const rows = await connection.rows(
      `SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quote(this.#names.plain)}
  AND TABLE_NAME IN ('mark', 'epoch', 'server')`,
    )
    return rows.length === 3
  }

  async #judgeTables(connection: ServiceConnection): Promise<void> {
    const { plain, schema, mark, epoch, server } = this.#names
    const strange = await connection.rows(
      `SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES
WHERE TABLE_SCHEMA = ${quote(plain)} AND TABLE_NAME IN ('mark', 'epoch', 'server') AND ENGINE <> 'InnoDB'`,
    )
    if (strange.length > 0) {
      const tables = strange.map(([table, engine]) => `${table ?? ''} (${engine ?? ''})`).join(', ')
      throw this.#refuse(
        'ASSENT_NOT_DURABLE',
        `these tables of Assent are not kept by InnoDB: ${tables}. Run ALTER TABLE … ENGINE = InnoDB`,
      )
    }
    const [row] = await connection.rows(`SELECT version FROM ${server}`)
    if (row?.[0] !== String(SCHEMA_VERSION)) {
      throw this.#refuse(
        'ASSENT_SCHEMA_VERSION',
        `the tables in ${schema} are of version ${row?.[0] ?? 'none'}, and this Assent needs ` +
          `${SCHEMA_VERSION}. Run the Assent that made them, or migrate`,
      )
    }
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
  }

  async #create(connection: ServiceConnection): Promise<void> {
    const lock = quote(`assent-schema.${this.#names.plain}`)
    await connection.rows(`SELECT GET_LOCK(${lock}, ${FIRST_USE_S})`)
    try {
      for (const statement of schemaStatements(this.#names)) await connection.rows(statement)
    } catch (error) {
      if (await this.#hasTables(connection)) return
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

const SETTINGS = [
  'binlog_format',
  'innodb_doublewrite',
  'innodb_flush_log_at_trx_commit',
  'innodb_flush_method',
  'log_bin',
  'sync_binlog',
  'wsrep_on',
  'xa_detach_on_prepare',
]

/** Those that this server has. */
async function settingsOf(connection: ServiceConnection): Promise<ReadonlyMap<string, string>> {
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
