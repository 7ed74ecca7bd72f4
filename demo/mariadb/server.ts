/**
 * Owns: a MariaDB server of the bank, and its tables.
 */
import mysql from 'mysql2/promise'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import { ACCOUNTS, OPENING_BALANCE } from '../accounts.ts'

const ids = Array.from({ length: ACCOUNTS }, (_, at) => at + 1)

/**
 * As on PostgreSQL, but the ledger refers to no account: InnoDB would lock that row as it checks, in
 * the order of the ledger's entries, and transfers would wait for one another in circles that span
 * two servers.
 */
const TABLES = [
  `CREATE TABLE account (
  id      integer PRIMARY KEY,
  opening bigint NOT NULL,
  balance bigint NOT NULL CHECK (balance >= 0)
) ENGINE = InnoDB`,
  `CREATE TABLE ledger (
  transfer varchar(40) PRIMARY KEY,
  account  integer NOT NULL,
  amount   bigint NOT NULL
) ENGINE = InnoDB`,
  `INSERT INTO account VALUES ${ids
    .map((id) => `(${id}, ${OPENING_BALANCE}, ${OPENING_BALANCE})`)
    .join(', ')}`,
]

/** Commits that are also written to a log for replicas take another way through the server. */
const BINARY_LOG = { log_bin: 'binlog', binlog_format: 'ROW', sync_binlog: '1', server_id: '1' }

/** `clients` is how many connections it must have room for. */
export function createMariadb(
  name: string,
  clients: number,
  hasBinaryLog: boolean,
): Promise<MariadbServer> {
  return MariadbServer.create({
    name,
    settings: { max_connections: String(clients), ...(hasBinaryLog && BINARY_LOG) },
  })
}

export async function fillMariadb(url: string): Promise<void> {
  const connection = await mysql.createConnection(url)
  for (const statement of TABLES) await connection.query(statement)
  await connection.end()
}
