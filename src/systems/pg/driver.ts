/**
 * node-postgres as Assent needs it, typed structurally: no import of `pg`, so that it stays an
 * optional peer and any copy of it fits.
 *
 * Owns: the few members of Pool, Client and Connection that are used.
 */

/** A `pg.Pool`. */
export interface PgPool {
  readonly options: object
  readonly Client: (new (options: never) => PgClient) & { readonly Query?: PgQueryClass }
  connect(): Promise<PgPoolClient>
  query: unknown
}

/** A `pg.Client`. Its `connection` is the protocol level: every tag and status passes there. */
export interface PgClient {
  readonly connection: PgConnection
  /** Of the server process, as it was told when connecting. */
  readonly processID?: number | null
  /** `false` once the driver knows that the connection is of no use any more. */
  readonly _queryable?: boolean
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
  stream: {
    readonly destroyed?: boolean
    write(bytes: Uint8Array): unknown
    destroy(): void
    listeners?(event: 'data'): readonly unknown[]
    on?(event: 'data', listener: (bytes: Buffer) => void): unknown
    removeListener?(event: 'data', listener: (bytes: Buffer) => void): unknown
  }
  /** Statements that a query has sent to be parsed under its name. Since 8.23. */
  readonly submittedNamedStatements?: Record<string, string>
  parse: unknown
  on(event: string, listener: (message: never) => void): unknown
  prependListener(event: 'commandComplete', listener: (message: { text: string }) => void): unknown
  prependListener(event: 'readyForQuery', listener: (message: { status: string }) => void): unknown
  prependListener(event: 'errorMessage', listener: (error: ServerError) => void): unknown
  prependListener(event: 'notice', listener: (message: Notice) => void): unknown
  prependListener(
    event: 'parameterStatus',
    listener: (message: { parameterName: string; parameterValue: string }) => void,
  ): unknown
  prependListener(event: 'end', listener: () => void): unknown
  removeListener(event: string, listener: (message: never) => void): unknown
}

/** A `pg.Query`: what `client.query` makes of a text, and calls as answers arrive. */
export interface PgQuery extends Submittable {
  name: string | undefined
  binary?: boolean
  query_timeout?: number | undefined
  callback: ((error: Error | null, result: unknown) => void) | undefined
  readonly rows?: number | undefined
  requiresPreparation(): boolean
  /** Writes Parse, Bind, Describe, Execute and Sync; the stream is corked meanwhile, since 8.14. */
  prepare(connection: PgConnection): void
}
export type PgQueryClass = new (
  config: unknown,
  values: unknown,
  callback: PgQuery['callback'],
) => PgQuery

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
  handleCommandComplete(message: { text: string }, connection: PgConnection): void
  handlePortalSuspended(): void
  handleEmptyQuery(): void
  handleCopyInResponse(): void
  handleCopyData(): void
  handleError(error: Error, connection?: PgConnection): void
  handleReadyForQuery(): void
}

/** An error that the server sent, as opposed to one of the connection. */
export interface ServerError extends Error {
  /** The SQLSTATE, five characters. */
  readonly code: string
  readonly severity: string
  /** Of a NOT NULL violation. */
  readonly column?: string | undefined
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
