/**
 * BEGIN and the first statement as one message: one round trip less for each branch.
 *
 * Owns: a Query of node-postgres that sends BEGIN before itself, under the same Sync.
 * Promises: rows, fields and errors are node-postgres' own; if BEGIN fails, the server skips the
 * statement. A named statement is parsed once for each connection, as without us.
 * Never: is used with a row limit or a cursor: those end the message before its Sync.
 *
 * (`pipeline: true` of node-postgres is no substitute: it gives each query a Sync of its own, so
 * behind a failed BEGIN the statement runs, outside of any transaction.)
 */
import pg from 'pg'

/** Runs `statement` as the first of a new transaction. */
export function beginWith(
  client: pg.ClientBase,
  statement: pg.QueryConfig,
  begin = 'BEGIN',
): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null | undefined, result: pg.QueryResult): void => {
      if (error) reject(error)
      else resolve(result)
    }
    client.query(new BeginningQuery(statement, begin, done) as unknown as pg.Submittable)
  })
}

/** The members of node-postgres' connection and Query that are used, and not in its types. */
interface Connection {
  readonly parsedStatements: Readonly<Record<string, string>>
  readonly submittedNamedStatements: Record<string, string>
  parse(message: { text: string; name: string; types: readonly number[] }): void
  bind(message: { portal: string; statement: string; values: readonly string[] }): void
  execute(message: { portal: string; rows: number }): void
}
interface DriverQuery {
  name: string | undefined
  requiresPreparation(): boolean
  prepare(connection: Connection): void
  handleCommandComplete(message: unknown, connection: Connection): void
  handleError(error: Error, connection: Connection): void
}
type Done = (error: Error | null | undefined, result: pg.QueryResult) => void
const Query = pg.Query as unknown as new (config: pg.QueryConfig, callback: Done) => DriverQuery

class BeginningQuery extends Query {
  readonly #begin: string
  /** The statement's name, kept from the driver until BEGIN was answered. */
  #hidden: string | undefined
  #state: 'beginning' | 'begun' = 'beginning'

  constructor(statement: pg.QueryConfig, begin: string, done: Done) {
    super(statement, done)
    this.#begin = begin
  }

  /** Sends it by the extended protocol, whose messages can share a Sync. */
  override requiresPreparation(): boolean {
    return true
  }

  /** Called with the stream corked: all of it leaves in one piece. */
  override prepare(connection: Connection): void {
    connection.parse({ text: this.#begin, name: '', types: [] })
    connection.bind({ portal: '', statement: '', values: [] })
    connection.execute({ portal: '', rows: 0 })
    super.prepare(connection)
    // The driver books every ParseComplete under the active query's name. That of BEGIN comes
    // first, and would book a statement as parsed that the server may yet refuse.
    this.#hidden = this.name
    this.name = undefined
  }

  override handleCommandComplete(message: unknown, connection: Connection): void {
    if (this.#state === 'begun') {
      super.handleCommandComplete(message, connection)
      return
    }
    this.#state = 'begun'
    this.name = this.#hidden
  }

  override handleError(error: Error, connection: Connection): void {
    // BEGIN failed, so the statement was not parsed: the next query with its name has to do it.
    if (this.#state === 'beginning' && this.#hidden !== undefined) {
      Reflect.deleteProperty(connection.submittedNamedStatements, this.#hidden)
    }
    super.handleError(error, connection)
  }
}
