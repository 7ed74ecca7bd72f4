/**
 * node-postgres as Assent needs it, typed structurally: no import of `pg`, so that it stays an
 * optional peer and any copy of it fits.
 *
 * Owns: the few members of Pool, Client and Connection that are used.
 */

/** A `pg.Pool`. */
export interface PgPool {
  readonly options: object
  readonly Client: new (options: never) => PgClient
  connect(): Promise<PgPoolClient>
  query: unknown
}

/** A `pg.Client`. Its `connection` is the protocol level: every tag and status passes there. */
export interface PgClient {
  readonly connection: PgConnection
  connect(): Promise<unknown>
  query(submittable: Submittable): unknown
  end(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
  ref?(): void
  unref?(): void
}

export interface PgPoolClient extends PgClient {
  release(destroy?: boolean): void
}

export interface PgConnection {
  readonly stream: { cork?(): void; uncork?(): void; destroy(): void }
  parse(message: { text: string; name: string; types?: readonly number[] }): void
  bind(message: {
    portal: string
    statement: string
    values: readonly (string | null)[]
    binary: boolean
  }): void
  execute(message: { portal: string; rows: number }): void
  sync(): void
  on(event: 'commandComplete', listener: (message: { text: string }) => void): unknown
  on(event: 'readyForQuery', listener: (message: { status: string }) => void): unknown
  on(event: 'notice', listener: (message: Notice) => void): unknown
  on(event: 'end', listener: () => void): unknown
  on(event: string, listener: (message: never) => void): unknown
  removeListener(event: string, listener: (message: never) => void): unknown
}

/** A notice or warning. `severity` is in the server's language; `code` is not. */
export interface Notice {
  readonly code?: string | undefined
  readonly message?: string | undefined
}

/** What `client.query` accepts besides text: node-postgres calls these as answers arrive. */
export interface Submittable {
  submit(connection: PgConnection): unknown
  handleRowDescription(message: unknown): void
  handleDataRow(message: { fields: (string | null)[] }): void
  handleCommandComplete(message: { text: string }): void
  handlePortalSuspended(): void
  handleEmptyQuery(): void
  handleCopyInResponse(): void
  handleCopyData(): void
  handleError(error: Error): void
  handleReadyForQuery(): void
}

/** An error that the server sent, as opposed to one of the connection. */
export interface ServerError extends Error {
  /** The SQLSTATE, five characters. */
  readonly code: string
  readonly severity: string
}

export function isServerError(error: unknown): error is ServerError {
  return (
    error instanceof Error &&
    'severity' in error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.length === 5
  )
}
