/**
 * Errors of connecting, told so that the reader knows what to change.
 *
 * Owns: which failure is the address, which the credentials, which the pool.
 * Promises: no password in any message or cause: an error that may quote the connection string is
 * not passed on as it is.
 */
import { AssentError } from '../../protocol/index.ts'
import { isServerError } from './driver.ts'

/** Makes an error that the caller can act on out of whatever connecting threw. */
export function connectError(name: string, cause: unknown): AssentError {
  if (cause instanceof AssentError) return cause
  const safe = withoutSecrets(cause)
  if (isServerError(cause) && (cause.code.startsWith('28') || cause.code === '3D000')) {
    return new AssentError({
      code: 'ASSENT_CREDENTIALS',
      outcome: 'aborted',
      message:
        `Participant ${name}: PostgreSQL refused the connection: ${cause.message} (${cause.code}). ` +
        `Check the user, the password and the database that its pool is configured with.`,
      cause: safe,
    })
  }
  return new AssentError({
    code: 'ASSENT_UNREACHABLE',
    outcome: 'aborted',
    retryable: true,
    message:
      `Participant ${name}: no connection could be had: ${safe.message}. ` +
      `Check that the server runs, its address, and the pool's \`max\`.`,
    cause: safe,
  })
}

/** `new URL()` quotes the whole connection string in its error, password included. */
export function withoutSecrets(cause: unknown): Error {
  if (isServerError(cause)) return cause
  if (cause instanceof Error && !('input' in cause)) return cause
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown reason'
  return new Error(`the connection settings can't be read (${code})`)
}
