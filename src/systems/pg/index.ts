/**
 * PostgreSQL through node-postgres. The folder's story, in reading order:
 *
 *   participant          one configured database: joining, and who uses which connection
 *   handle               what users hold; node-postgres' own `query`
 *   guarded-connection   what may pass to the connection while the user's function runs
 *   statements           reads just enough SQL to see transaction control
 *   branch               the commit path: claim, vote, commit, end
 *   branch-session       the connection while the function runs
 *   begin                BEGIN, by itself or with the first statement
 *   mark                 the SQL of claim, receipt and *Ask*
 *   message              several statements under one Sync, and their whole answer
 *   wire, frontend       one physical connection: names, listeners; bytes
 *   answers              the whitelist of definite answers
 *   register             asking marks, and this process's epoch
 *   epochs               the epochs that this database remembers
 *   memory               marks in batches, for forgetting
 *   acknowledged         transactions of our own, of which only an acknowledged COMMIT counts
 *   prepared             what is prepared here, and ending it
 *   site, schema         whether this database may be marked; Assent's tables
 *   service-connections  the connections that Assent keeps for itself
 *   connection-facts     what must be known of a connection before a branch begins on it
 *   connect-errors       errors of connecting, told so that one knows what to change
 *   driver               node-postgres, typed structurally
 */
import { AssentError } from '../../protocol/index.ts'
import type { ParticipantDefinition } from '../../ports/index.ts'
import type { PgPool } from './driver.ts'
import type { PgHandle } from './handle.ts'
import { PgParticipant } from './participant.ts'
import type { PgOptions } from './participant.ts'

export type { ClientOf, PgHandle } from './handle.ts'
export type { PgOptions } from './participant.ts'
export type { PgPool } from './driver.ts'

const OPTIONS = new Set(['schema', 'recovery', 'recoveryVia', 'failover'])

/**
 * Makes a participant of a node-postgres pool. Needs PostgreSQL 14 or newer and `pg` 8.11 or newer.
 *
 * @throws AssentError `ASSENT_OPTION` for anything that is not a `pg.Pool`, or an unknown option
 * @example
 * ```ts
 * import pg from 'pg'
 * import { createAssent } from 'assent'
 * import { pg as pgParticipant } from 'assent/pg'
 *
 * const pool = new pg.Pool({ connectionString: process.env['ORDERS_URL'] })
 * export const assent = createAssent({
 *   app: 'shop',
 *   participants: { orders: pgParticipant(pool) },
 * })
 * ```
 */
export function pg<P extends { query: unknown; options: object }>(
  pool: P,
  options: PgOptions = {},
): ParticipantDefinition<PgHandle<P>> {
  checkPool(pool)
  for (const name of Object.keys(options)) {
    if (OPTIONS.has(name)) continue
    throw refusal(
      `pg() was given the unknown option ${JSON.stringify(name)}. Known: ${[...OPTIONS].join(', ')}.`,
    )
  }
  if (options.schema !== undefined && !/^[^\0]{1,63}$/.test(options.schema)) {
    throw refusal('pg() was given a `schema` that is no name of 1 to 63 characters.')
  }
  const failover: unknown = options.failover
  if (failover !== undefined && failover !== 'lossless' && failover !== 'lossy') {
    throw refusal(
      `pg() was given \`failover: ${JSON.stringify(failover)}\`. Expected 'lossless' or 'lossy'.`,
    )
  }
  if (!['direct', 'session-pooler', undefined].includes(options.recoveryVia)) {
    throw refusal("pg() was given a `recoveryVia` that is neither 'direct' nor 'session-pooler'.")
  }
  return {
    system: 'pg',
    identity: pool,
    open: (context) => new PgParticipant<P & PgPool>(pool, options, context),
  }
}

function checkPool(pool: unknown): asserts pool is PgPool {
  const candidate = pool as Partial<PgPool> | null | undefined
  const isPool =
    typeof candidate === 'object' &&
    typeof candidate?.connect === 'function' &&
    typeof candidate.Client === 'function' &&
    typeof candidate.options === 'object'
  if (isPool) return
  throw refusal(
    `pg() was given ${pool === null ? 'null' : typeof pool}, and needs a Pool of node-postgres ` +
      `(new pg.Pool({ … })), not a Client or a connection string.`,
  )
}

function refusal(message: string): AssentError {
  return new AssentError({ code: 'ASSENT_OPTION', outcome: 'aborted', message })
}
