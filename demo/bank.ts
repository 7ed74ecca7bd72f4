/**
 * Owns: the three databases of the demo, each on a PostgreSQL server of its own, and their tables.
 * Promises: every server is durable as in production (fsync is on) and gone after close(). Two can
 * prepare; `vault` can't (max_prepared_transactions = 0), so it decides whenever it takes part.
 */
import pg from 'pg'
import { PostgresServer } from '../harness/postgres-server.ts'

export const DATABASES = ['east', 'west', 'vault'] as const
export type DatabaseName = (typeof DATABASES)[number]
/** Those that can keep a prepared branch. */
export const PREPARING = ['east', 'west'] as const satisfies readonly DatabaseName[]
export type Urls = Readonly<Record<DatabaseName, string>>

/** The app's name in every gid: processes of one app recover each other's transactions. */
export const APP = 'bank'
export const ACCOUNTS = 1_000
export const OPENING_BALANCE = 100
export const OPENING_TOTAL = ACCOUNTS * OPENING_BALANCE * DATABASES.length

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

export class Bank {
  readonly #servers: Readonly<Record<DatabaseName, PostgresServer>>

  /** `clients` is how many connections each server must have room for. */
  static async open(clients: number): Promise<Bank> {
    const opened = await Promise.allSettled(DATABASES.map((name) => openServer(name, clients)))
    const servers = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const failed = opened.find((each) => each.status === 'rejected')
    if (failed !== undefined) {
      await Promise.all(servers.map((server) => server.remove()))
      throw failed.reason
    }
    const [east, west, vault] = servers as [PostgresServer, PostgresServer, PostgresServer]
    return new Bank({ east, west, vault })
  }

  private constructor(servers: Readonly<Record<DatabaseName, PostgresServer>>) {
    this.#servers = servers
  }

  server(name: DatabaseName): PostgresServer {
    return this.#servers[name]
  }

  /** The databases' addresses; `through` may lead them through a proxy. */
  urls(through: (name: DatabaseName, url: string) => string = (_, url) => url): Urls {
    const url = (name: DatabaseName): string => through(name, this.#servers[name].url('bank'))
    return { east: url('east'), west: url('west'), vault: url('vault') }
  }

  /** Nothing of them is needed any more, so they are killed: that is quicker than a shutdown. */
  async close(): Promise<void> {
    const remove = async (server: PostgresServer): Promise<void> => {
      await server.kill()
      await server.remove()
    }
    await Promise.all(DATABASES.map((name) => remove(this.#servers[name])))
  }
}

async function openServer(name: DatabaseName, clients: number): Promise<PostgresServer> {
  const canPrepare = (PREPARING as readonly DatabaseName[]).includes(name)
  const server = await PostgresServer.create({
    name,
    settings: {
      max_connections: String(clients),
      max_prepared_transactions: canPrepare ? String(clients) : '0',
    },
  })
  try {
    await server.start()
    await server.createDatabase('bank')
    const client = new pg.Client({ connectionString: server.url('bank') })
    await client.connect()
    await client.query(TABLES)
    await client.end()
    return server
  } catch (error) {
    await server.remove()
    throw error
  }
}
