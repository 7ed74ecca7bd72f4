/**
 * `assent/mariadb`: MariaDB and MySQL through the driver `mariadb`.
 */
import type { ParticipantDefinition } from '../../ports/index.ts'
import type { ConnectionOf } from './handle.ts'
import { MariadbDriver } from './mariadb-driver.ts'
import type { MariadbConnection, MariadbPool } from './mariadb-driver.ts'
import { checkOptions, refusal } from './options.ts'
import { MysqlParticipant } from './participant.ts'
import type { MysqlOptions } from './participant.ts'

export type { MysqlOptions } from './participant.ts'

/** The handle of a participant: typed from its pool, so overloads and row types are the pool's. */
export type MariadbHandle<P extends MariadbPoolLike> = Pick<P, 'query' | 'execute' | 'batch'> & {
  /** A guarded PoolConnection, for repository functions and ORMs that expect one. */
  readonly connection: ConnectionOf<P>
}

/** A pool of the driver's promise API. */
export interface MariadbPoolLike {
  getConnection(): Promise<object>
  query: unknown
  execute: unknown
  batch: unknown
}

export interface MariadbOptions extends MysqlOptions {
  /**
   * Makes a connection beside the pool, for recovery: a pool that is full must not stop it, and this
   * driver's pools don't show what they connect with. Usually `() => createConnection(settings)`.
   */
  readonly connect: () => Promise<object>
}

/**
 * Makes a participant of a pool of `mariadb`. Needs MariaDB 10.6 or newer, or MySQL 8.0.30 or newer,
 * and `mariadb` 3.4 or newer.
 *
 * @throws AssentError `ASSENT_OPTION` for anything that is not such a pool, or an unknown option
 * @example
 * ```ts
 * import { createConnection, createPool } from 'mariadb'
 * import { createAssent } from 'assent'
 * import { mariadb } from 'assent/mariadb'
 *
 * const url = process.env['STOCK_URL'] ?? ''
 * const stock = mariadb(createPool(url), { connect: () => createConnection(url) })
 * export const assent = createAssent({ app: 'shop', participants: { stock } })
 * ```
 */
export function mariadb<P extends MariadbPoolLike>(
  pool: P,
  options: MariadbOptions,
): ParticipantDefinition<MariadbHandle<P>> {
  checkPool(pool)
  const given: unknown = options
  if (typeof given !== 'object' || given === null || typeof options.connect !== 'function') {
    throw refusal(
      'mariadb() was given no `connect`. Expected a function that makes a connection beside the ' +
        'pool, for recovery: mariadb(pool, { connect: () => createConnection(settings) }).',
    )
  }
  checkOptions('mariadb()', options, ['schema', 'failover', 'statements', 'connect'])
  const connect = options.connect as () => Promise<MariadbConnection>
  return {
    system: 'mariadb',
    identity: pool,
    open: (context) =>
      new MysqlParticipant<MariadbHandle<P>>(
        new MariadbDriver(pool as unknown as MariadbPool, connect),
        pool,
        options,
        context,
      ),
  }
}

function checkPool(pool: unknown): void {
  const candidate = pool as Partial<Record<keyof MariadbPoolLike, unknown>> | null
  const isPool =
    typeof candidate === 'object' &&
    typeof candidate?.getConnection === 'function' &&
    typeof candidate.batch === 'function'
  if (isPool) return
  throw refusal(
    `mariadb() was given ${pool === null ? 'null' : typeof pool}, and needs a pool of the driver ` +
      `mariadb (createPool({ … })), not a connection or a connection string.`,
  )
}
