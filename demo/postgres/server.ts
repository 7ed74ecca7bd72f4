/**
 * Owns: a PostgreSQL server of the bank, and its tables.
 */
import pg from 'pg'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { ACCOUNTS, OPENING_BALANCE } from '../accounts.ts'

/**
 * The ledger's key is the transfer: written twice, it would fail. `opening` stays, so that every
 * balance can be checked against the ledger.
 */
const TABLES = `
CREATE TABLE account (
  id      integer PRIMARY KEY,
  opening bigint NOT NULL,
  balance bigint NOT NULL CHECK (balance >= 0)
);
CREATE TABLE ledger (
  transfer text PRIMARY KEY,
  account  integer NOT NULL REFERENCES account,
  amount   bigint NOT NULL
);
INSERT INTO account SELECT id, ${OPENING_BALANCE}, ${OPENING_BALANCE}
FROM generate_series(1, ${ACCOUNTS}) AS id;
`

/** `clients` is how many connections it must have room for. */
export function createPostgres(
  name: string,
  clients: number,
  prepares: boolean,
): Promise<PostgresServer> {
  return PostgresServer.create({
    name,
    settings: {
      max_connections: String(clients),
      max_prepared_transactions: prepares ? String(clients) : '0',
    },
  })
}

export async function fillPostgres(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(TABLES)
  await client.end()
}
