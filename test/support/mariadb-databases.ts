/**
 * MariaDB databases of a test's own, with plain SQL access beside whatever is tested.
 *
 * A prepared XA branch belongs to its server, not to a database: XA RECOVER lists those of all
 * files that run at the same time. So a test says which are its own (`rollBackAtEnd`); no other is
 * touched.
 */
import { inject, onTestFinished } from 'vitest'
import { createPool as createConnectorPool } from 'mariadb'
import type { Pool as ConnectorPool, PoolConfig as ConnectorConfig } from 'mariadb'
import mysql from 'mysql2/promise'
import { eventually } from '../../harness/eventually.ts'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import type { MariadbUrls } from './global-servers.ts'

/** What XA RECOVER lists, of any database of the server. */
export interface PreparedBranch {
  readonly gtrid: string
  readonly bqual: string
}

export interface MariadbDatabase {
  readonly name: string
  readonly url: string
  /** For what is tested, by mysql2. */
  readonly pool: mysql.Pool
  /** A pool of MariaDB's own connector, closed when the test is over. */
  connector(config?: ConnectorConfig): ConnectorPool
  /** Plain SQL, on connections that Assent never sees. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>
  /** What is prepared on this server, also by other tests. */
  prepared(): Promise<readonly PreparedBranch[]>
  /** How many rows the table `t` has. */
  count(): Promise<number>
  /** Branches whose gtrid begins so are this test's: those left prepared are rolled back. */
  rollBackAtEnd(gtridPrefix: string): void
}

/** A fresh database with a table `t (x int)`, dropped when the test is over. */
export async function freshMariadb(
  server: keyof MariadbUrls,
  config: mysql.PoolOptions = {},
): Promise<MariadbDatabase> {
  return databaseAt(inject('mariadbServers')[server], config)
}

/** A started server, removed when the test is over. */
export async function ownMariadb(
  name: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<MariadbServer> {
  const server = await MariadbServer.create({ name, settings })
  onTestFinished(() => server.remove())
  await server.start()
  return server
}

/** The same on it. Its pools survive the server's death, which may be the end of the test. */
export async function ownMariadbDatabase(
  server: MariadbServer,
  config: mysql.PoolOptions = {},
): Promise<MariadbDatabase> {
  return databaseAt(server.url(), config, () => server.isRunning)
}

let serial = 0

async function databaseAt(
  serverUrl: string,
  config: mysql.PoolOptions,
  isRunning = () => true,
): Promise<MariadbDatabase> {
  serial += 1
  const name = `t_${process.pid}_${Date.now().toString(36)}_${serial}`
  await alone(serverUrl, (connection) => connection.query(`CREATE DATABASE ${name}`))
  const atEnd = (connection: mysql.Connection): Promise<void> => drop(connection, name)
  const database = reach(serverUrl, name, config, { isRunning, atEnd })
  await database.sql('CREATE TABLE t (x int) ENGINE = InnoDB')
  return database
}

/** One that is there already: on a replica, or by another way than the server's own url. */
export function reachMariadb(
  server: MariadbServer,
  name: string,
  way = (serverUrl: string): string => serverUrl,
): MariadbDatabase {
  const atEnd = (): Promise<void> => Promise.resolve()
  return reach(way(server.url()), name, {}, { isRunning: () => server.isRunning, atEnd })
}

interface Ending {
  readonly isRunning: () => boolean
  /** When nobody is connected any more, and nothing of the test's own is prepared. */
  readonly atEnd: (connection: mysql.Connection) => Promise<void>
}

function reach(
  serverUrl: string,
  name: string,
  config: mysql.PoolOptions,
  { isRunning, atEnd }: Ending,
): MariadbDatabase {
  const url = new URL(name, serverUrl).href
  const pool = mysql.createPool({ uri: url, ...config })
  const side = mysql.createPool({ uri: url, connectionLimit: 2 })
  const connectors: ConnectorPool[] = []
  const own = new Set<string>()
  onTestFinished(async () => {
    await side.end()
    // First: a pool waits for what its sessions are doing.
    if (isRunning()) await alone(serverUrl, (connection) => endSessions(connection, name))
    const open = connectors.filter((each) => !each.closed)
    await Promise.all([pool, ...open].map((each) => each.end()))
    if (!isRunning()) return
    await alone(serverUrl, async (connection) => {
      await rollBackPrepared(connection, [...own])
      await atEnd(connection)
    })
  })
  const connector = (settings: ConnectorConfig = {}): ConnectorPool => {
    const created = createConnectorPool({ ...connectorConfig(url), ...settings })
    connectors.push(created)
    return created
  }
  const rollBackAtEnd = (gtridPrefix: string) => void own.add(gtridPrefix)
  return { name, url, pool, connector, rollBackAtEnd, ...lookingInto(side) }
}

function lookingInto(side: mysql.Pool): Pick<MariadbDatabase, 'sql' | 'prepared' | 'count'> {
  const sql = async (text: string, values: readonly unknown[] = []) =>
    (await side.query<mysql.RowDataPacket[]>(text, [...values]))[0]
  return {
    sql,
    prepared: async () =>
      (await branches(side)).map(({ gtrid, bqual }) => ({
        gtrid: gtrid.toString(),
        bqual: bqual.toString(),
      })),
    count: async () => Number((await sql('SELECT count(*) AS n FROM t'))[0]?.['n']),
  }
}

/** Its url is of another scheme. */
function connectorConfig(url: string): ConnectorConfig {
  const { hostname, port, username, password, pathname } = new URL(url)
  const database = pathname.slice(1)
  return { host: hostname, port: Number(port), user: username, password, database }
}

/** Nobody else may be at work when branches are rolled back: only then can others end them. */
async function endSessions(connection: mysql.Connection, database: string): Promise<void> {
  const others = 'SELECT id FROM information_schema.processlist WHERE db = ?'
  await eventually(`the sessions in ${database} to end`, async () => {
    const [rows] = await connection.query<mysql.RowDataPacket[]>(others, [database])
    for (const { id } of rows as { id: number }[]) {
      await unless([UNKNOWN_SESSION], connection.query(`KILL CONNECTION ${id}`))
    }
    return rows.length === 0
  })
}

async function rollBackPrepared(
  connection: mysql.Connection,
  prefixes: readonly string[],
): Promise<void> {
  await eventually('nothing of this test to be prepared', async () => {
    const own = (await branches(connection)).filter(({ gtrid }) =>
      prefixes.some((prefix) => gtrid.toString().startsWith(prefix)),
    )
    for (const { gtrid, bqual, formatId } of own) {
      const xid = `X'${gtrid.toString('hex')}', X'${bqual.toString('hex')}', ${formatId}`
      // Recovery may have ended it in the meantime.
      await unless([UNKNOWN_BRANCH], connection.query(`XA ROLLBACK ${xid}`))
    }
    return own.length === 0
  })
}

async function drop(connection: mysql.Connection, database: string): Promise<void> {
  // A prepared branch without a connection holds InnoDB's lock on its table, a connected one the
  // server's.
  await connection.query('SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 5')
  try {
    await connection.query(`DROP DATABASE ${database}`)
  } catch (cause) {
    const reason = `${database} can't be dropped. If a branch is prepared in it: rollBackAtEnd()`
    throw new Error(reason, { cause })
  }
}

interface Branch {
  readonly formatId: number
  readonly gtrid: Buffer
  readonly bqual: Buffer
}

async function branches(connection: mysql.Connection | mysql.Pool): Promise<readonly Branch[]> {
  const [rows] = await connection.query<mysql.RowDataPacket[]>('XA RECOVER')
  return rows.map((row) => {
    const bytes = row['data'] as Buffer
    const gtridBytes = row['gtrid_length'] as number
    return {
      formatId: row['formatID'] as number,
      gtrid: bytes.subarray(0, gtridBytes),
      bqual: bytes.subarray(gtridBytes),
    }
  })
}

const UNKNOWN_SESSION = 1094
const UNKNOWN_BRANCH = 1397

async function unless(numbers: readonly number[], query: Promise<unknown>): Promise<void> {
  await query.catch((error: unknown) => {
    if (!numbers.includes((error as { errno?: number }).errno ?? 0)) throw error
  })
}

async function alone(
  url: string,
  work: (connection: mysql.Connection) => Promise<unknown>,
): Promise<void> {
  const connection = await mysql.createConnection(url)
  try {
    await work(connection)
  } finally {
    await connection.end()
  }
}
