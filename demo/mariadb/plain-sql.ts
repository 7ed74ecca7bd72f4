/**
 * Owns: plain SQL on one MariaDB database, and what is prepared on its server.
 *
 * A prepared branch can be ended by nobody else as long as the connection lives that prepared it. Its
 * id names that connection, and the start of the server that counted it, so the list of connections
 * tells whose a branch still is.
 */
import mysql from 'mysql2/promise'
import type { PlainOptions, PlainSql, Row, SeenBranch } from '../database.ts'

/** The connections first: one that is missing here can't end what is listed after it. */
const CONNECTIONS = 'SELECT ID AS id FROM information_schema.PROCESSLIST'
const START = `SELECT round(unix_timestamp() - VARIABLE_VALUE) AS start
FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'`
const BRANCHES = 'XA RECOVER'

const SESSIONS = `SELECT concat(USER, ' (', COMMAND, ')') AS session
FROM information_schema.PROCESSLIST
WHERE ID <> connection_id() AND USER = substring_index(user(), '@', 1)`
/** A branch may be gone from the list of prepared ones, and its locks are still held. */
const OPEN = `SELECT trx_id AS id, trx_state AS state FROM information_schema.INNODB_TRX
WHERE trx_mysql_thread_id <> connection_id()`

export async function connectToMariadb(url: string, options: PlainOptions): Promise<PlainSql> {
  const { timeoutMs } = options
  const connection = await mysql.createConnection({
    uri: url,
    ...(timeoutMs && { connectTimeout: timeoutMs }),
  })
  connection.on('error', () => undefined)
  return new MariadbSql(connection, timeoutMs)
}

class MariadbSql implements PlainSql {
  readonly #connection: mysql.Connection
  readonly #timeoutMs: number | undefined
  /** Of the server, which this connection doesn't outlive. */
  #start: number | undefined

  constructor(connection: mysql.Connection, timeoutMs: number | undefined) {
    this.#connection = connection
    this.#timeoutMs = timeoutMs
  }

  async rows(sql: string): Promise<readonly Row[]> {
    const timeout = this.#timeoutMs
    const [rows] = await this.#connection.query<mysql.RowDataPacket[]>({
      sql,
      ...(timeout && { timeout }),
    })
    return rows
  }

  async look(): Promise<readonly SeenBranch[]> {
    this.#start ??= Number((await this.rows(START))[0]?.['start'])
    const alive = new Set((await this.rows(CONNECTIONS)).map(({ id }) => Number(id)))
    const ids = (await this.rows(BRANCHES)).map(readId)
    const start = this.#start
    return ids.map(({ gtrid, branch, connection, startedAt }) => ({
      // A1.<app>.<register>.<epoch>.<txid>
      gid: `${gtrid}.${branch}`,
      txid: gtrid.split('.')[4] ?? '',
      // By the server's clock, in whole seconds: the same start may be told one apart.
      isReachedBy: () => Math.abs(startedAt - start) <= 1 && alive.has(connection),
    }))
  }

  async leftPrepared(): Promise<readonly string[]> {
    const prepared = (await this.rows(BRANCHES)).map(readId)
    const open = await this.rows(OPEN)
    return [
      ...prepared.map(({ gtrid, branch }) => `${gtrid}.${branch} is still prepared`),
      ...open.map(({ id, state }) => `InnoDB's transaction ${String(id)} is ${String(state)}`),
    ]
  }

  async otherSessions(): Promise<readonly string[]> {
    return (await this.rows(SESSIONS)).map(({ session }) => String(session))
  }

  close(): Promise<void> {
    return this.#connection.end()
  }
}

interface Id {
  readonly gtrid: string
  readonly branch: string
  readonly connection: number
  readonly startedAt: number
}

/** The second half is `<branch>.<connection>.<start of the server>`, the numbers in base 36. */
function readId({ data, gtrid_length: length }: Row): Id {
  const text = String(data)
  const gtrid = text.slice(0, Number(length))
  const [branch = '', connection = '', startedAt = ''] = text.slice(Number(length)).split('.')
  const numbers = { connection: parseInt(connection, 36), startedAt: parseInt(startedAt, 36) }
  return { gtrid, branch, ...numbers }
}
