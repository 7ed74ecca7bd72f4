/**
 * `assent/mysql2`: MySQL and MariaDB through the driver `mysql2`.
 */
import type { ParticipantDefinition } from '../../ports/index.ts'
import type { ConnectionOf } from './handle.ts'
import { Mysql2Driver } from './mysql2-driver.ts'
import type { Mysql2Pool } from './mysql2-driver.ts'
import { checkOptions, refusal } from './options.ts'
import { MysqlParticipant } from './participant.ts'
import type { MysqlOptions } from './participant.ts'

export type { MysqlOptions } from './participant.ts'

/** The handle of a participant: typed from its pool, so overloads and row types are the pool's. */
export type Mysql2Handle<P extends Mysql2PoolLike> = Pick<P, 'query' | 'execute'> & {
  /** A guarded PoolConnection, for repository functions and ORMs that expect one. */
  readonly connection: ConnectionOf<P>
}

/** A pool of `mysql2/promise`; one with callbacks has no promise to give. */
export interface Mysql2PoolLike {
  getConnection(): Promise<object>
  query: unknown
  execute: unknown
}

/**
 * Makes a participant of a pool of `mysql2/promise`. Needs MariaDB 10.6 or newer, or MySQL 8.0.30 or
 * newer, and `mysql2` 3.9 or newer.
 *
 * @throws AssentError `ASSENT_OPTION` for anything that is not such a pool, or an unknown option
 * @example
 * ```ts
 * import { createPool } from 'mysql2/promise'
 * import { createAssent } from 'assent'
 * import { mysql2 } from 'assent/mysql2'
 *
 * const pool = createPool(process.env['STOCK_URL'] ?? '')
 * export const assent = createAssent({ app: 'shop', participants: { stock: mysql2(pool) } })
 * ```
 */
export function mysql2<P extends Mysql2PoolLike>(
  pool: P,
  options: MysqlOptions = {},
): ParticipantDefinition<Mysql2Handle<P>> {
  checkPool(pool)
  checkOptions('mysql2()', options, ['schema', 'failover', 'statements'])
  return {
    system: 'mysql2',
    identity: pool,
    open: (context) =>
      new MysqlParticipant<Mysql2Handle<P>>(
        new Mysql2Driver(pool as unknown as Mysql2Pool),
        pool,
        options,
        context,
      ),
  }
}

function checkPool(pool: unknown): void {
  const candidate = pool as Partial<Record<'getConnection' | 'pool' | 'promise', unknown>> | null
  const isObject = typeof candidate === 'object' && candidate !== null
  if (isObject && typeof candidate.promise === 'function') {
    throw refusal(
      'mysql2() was given a pool with callbacks. Give it one of mysql2/promise, or pool.promise().',
    )
  }
  if (isObject && typeof candidate.getConnection === 'function' && isObjectLike(candidate.pool)) {
    return
  }
  throw refusal(
    `mysql2() was given ${pool === null ? 'null' : typeof pool}, and needs a pool of ` +
      `mysql2/promise (createPool({ … })), not a connection or a connection string.`,
  )
}

function isObjectLike(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
