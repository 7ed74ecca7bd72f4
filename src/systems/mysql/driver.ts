/**
 * What Assent needs of a MySQL driver, whichever it is; and how a server's error is told from the
 * connection's.
 *
 * Owns: the seam between this folder and the two drivers (`mysql2-driver`, `mariadb-driver`).
 * Promises: an answer is the server's own, or `lost`; nothing is guessed from a driver's words.
 */

/** The first result's rows, with every value as text. */
export type Rows = readonly (readonly (string | null)[])[]

export interface Answered {
  readonly kind: 'answered'
  /** Of a statement that changes rows. */
  readonly affected: number
  readonly warnings: number
  readonly rows: Rows
}

/** The server's answer to one statement. */
export type Reply =
  | Answered
  /** The server answered with an error; the connection goes on. */
  | { readonly kind: 'refused'; readonly error: ServerError }
  /** No answer, or none that came from the server about this statement. */
  | { readonly kind: 'lost'; readonly cause: unknown }

/** An error that the server sent. */
export interface ServerError extends Error {
  readonly errno: number
  /** Five characters. */
  readonly sqlState: string
  /** The server's words alone: the message of `mariadb` also quotes the statement and its values. */
  readonly sqlMessage?: string | null
}

/** One physical connection. */
export interface Link {
  /** The driver's own object, by which what is known of the connection is remembered. */
  readonly key: object
  /** Calls a method of the driver's own connection: a statement of the user's, in his words. */
  run(method: string, args: readonly unknown[]): Promise<unknown>
  /** Calls `listener` if the connection breaks; at once, or when it is next used. */
  onBroken(listener: () => void): void
  /** Sends one statement and waits for its whole answer. Never rejects. */
  send(text: string): Promise<Reply>
  /** Cuts the link: whatever is unanswered becomes `lost` now. The pool does not get it back. */
  cut(): void
  /** Back to its pool. Called once, and not after `cut`. */
  release(): void
  /** Whether an open link keeps the process alive. */
  keepAlive(how: 'yes' | 'no'): void
}

/** What the rest of this folder knows of a pool. */
export interface Driver {
  /** The name of its package. */
  readonly system: 'mysql2' | 'mariadb'
  /** A connection of the user's pool. */
  take(): Promise<Link>
  /** A new connection, beside the pool. */
  connect(): Promise<Link>
}

/** Numbers that servers use: client libraries have 2000 to 2999, and drivers theirs above. */
function isServersNumber(errno: number): boolean {
  return (errno >= 1_000 && errno < 2_000) || (errno >= 3_000 && errno < 10_000)
}

export function isServerError(error: unknown): error is ServerError {
  return (
    error instanceof Error &&
    'errno' in error &&
    typeof error.errno === 'number' &&
    isServersNumber(error.errno) &&
    'sqlState' in error &&
    typeof error.sqlState === 'string'
  )
}

/**
 * Errors with which a server announces the end of the connection, after which nothing is known of
 * what was under way: shutdown (1053, 1077–1079), killed (1317 a statement, 1927 MariaDB, 3169 MySQL),
 * network (1152–1161, 1184), idle for too long (1205 is not one of them; 4031 MySQL), a commit that
 * failed half-way (1180), out of memory (1037, 1041), disk full and I/O (1020 is not; 1021, 1026, 1030).
 */
const TROUBLE = new Set([
  1021, 1026, 1030, 1037, 1041, 1053, 1077, 1078, 1079, 1152, 1153, 1154, 1155, 1156, 1157, 1158,
  1159, 1160, 1161, 1180, 1184, 1317, 1927, 3169, 4031,
])

export function isTrouble(error: ServerError): boolean {
  return TROUBLE.has(error.errno)
}

/** What a server said, without what was said to it: that may be secret. */
export function wordsOf(error: unknown): string {
  if (isServerError(error)) return `${error.sqlMessage ?? error.message} (${error.errno})`
  return error instanceof Error ? error.message : String(error)
}

/** What a driver threw, as a reply. */
export function replyOf(error: unknown): Reply {
  return isServerError(error) ? { kind: 'refused', error } : { kind: 'lost', cause: error }
}
