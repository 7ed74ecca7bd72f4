/**
 * Errors of connecting, told so that the reader knows what to change.
 *
 * Owns: which failure is the address, which the credentials, which the pool.
 * Promises: no password in any message or cause.
 */
import { AssentError } from '../../protocol/index.ts'
import { isServerError, wordsOf } from './driver.ts'

/** Access denied, to the server or a database; no such database. */
const CREDENTIALS = new Set([1044, 1045, 1049, 1698, 1820, 1862, 3118, 4151])

/** Makes an error that the caller can act on out of whatever connecting threw. */
export function connectError(name: string, thrown: unknown): AssentError {
  const cause = innermost(thrown)
  if (cause instanceof AssentError) return cause
  const safe = withoutSecrets(cause)
  if (isServerError(cause) && CREDENTIALS.has(cause.errno)) {
    return new AssentError({
      code: 'ASSENT_CREDENTIALS',
      outcome: 'aborted',
      message:
        `Participant ${name}: the server refused the connection: ${wordsOf(cause)}. ` +
        `Check the user, the password and the database that its pool is configured with.`,
      cause: safe,
    })
  }
  return new AssentError({
    code: 'ASSENT_UNREACHABLE',
    outcome: 'aborted',
    retryable: true,
    message:
      `Participant ${name}: no connection could be had: ${wordsOf(safe)}. ` +
      `Check that the server runs, its address, and the pool's \`connectionLimit\`.`,
    cause: safe,
  })
}

/** The mariadb driver's pool tells the server's own error as the cause of its own. */
function innermost(thrown: unknown): unknown {
  let error = thrown
  for (let depth = 0; depth < 5 && error instanceof Error; depth += 1) {
    if (error instanceof AssentError || isServerError(error)) return error
    if (error.cause === undefined) return error
    error = error.cause
  }
  return error
}

/** `new URL()` quotes the whole connection string in its error, password included. */
function withoutSecrets(cause: unknown): Error {
  if (cause instanceof Error && !('input' in cause)) {
    if (cause.message !== '') return cause
    return new Error('code' in cause ? String(cause.code) : 'unknown reason', { cause })
  }
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown reason'
  return new Error(`the connection settings can't be read (${code})`)
}

/** The user's own retry may help: a deadlock, a lock or a snapshot that came too late. */
const RETRYABLE = new Set([1020, 1205, 1213, 1402, 1613, 1614])

/** Wherever an ORM has wrapped it. */
export function isRetryable(error: unknown): boolean {
  let current: unknown = error
  for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
    if (isServerError(current)) return RETRYABLE.has(current.errno)
    current = current.cause
  }
  return false
}
