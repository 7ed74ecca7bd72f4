/**
 * What users hold inside a transaction: node-postgres' own `query`, and a guarded client.
 *
 * Owns: the types taken from the user's pool, and the lazy join at the first statement.
 * Promises: every form of `query` that the pool has (promise, callback, Query, Cursor, QueryStream)
 * behaves as node-postgres documents it; `client` can be given to whatever expects a PoolClient.
 * Never: lets `release`, `end` or the protocol connection be reached through the client.
 */
import type { PgClient, PgPool } from './driver.ts'
import type { PgBranch } from './branch.ts'
import { isSubmittable } from './guarded-connection.ts'

/** The client type of a pool: what its `connect` gives. */
export type ClientOf<P> = P extends {
  connect(callback: (error: never, client: infer C, done: never) => void): void
}
  ? NonNullable<C>
  : P extends { connect(): Promise<infer C> }
    ? C
    : never

/** The handle of a participant: typed from its pool, so overloads and row types are the pool's. */
export type PgHandle<P extends { query: unknown }> = Pick<P, 'query'> & {
  /** A guarded PoolClient, for repository functions, Kysely or Drizzle that expect one. */
  readonly client: ClientOf<P>
}

type Join = () => Promise<PgBranch>

export function makeHandle(pool: PgPool, join: Join): { query: unknown; client: unknown } {
  const query = (...args: readonly unknown[]): unknown => lazily(join, args)
  return { query, client: guardedClient(pool, join, query) }
}

/** Joins, then runs the query; the order of calls is the order of statements. */
function lazily(join: Join, args: readonly unknown[]): unknown {
  const [config] = args
  const callback = args.find((arg) => typeof arg === 'function') as
    ((error: unknown) => void) | undefined
  const running = join().then((branch) => branch.query(args))
  if (isSubmittable(config)) {
    running.catch((error: unknown) => {
      config.handleError(error instanceof Error ? error : new Error(String(error)))
    })
    return config
  }
  if (callback === undefined) return running
  running.catch((error: unknown) => {
    callback(error)
  })
  return undefined
}

/** Members of a PoolClient that neither send anything nor end it. */
const HARMLESS = new Set<string | symbol>([
  'escapeIdentifier',
  'escapeLiteral',
  'getTypeParser',
  'processID',
  'on',
  'once',
  'off',
  'addListener',
  'removeListener',
])

function guardedClient(pool: PgPool, join: Join, query: unknown): unknown {
  let joined: PgClient | undefined
  const own: Record<string | symbol, unknown> = {
    query,
    // The branch's connection ends with the branch, whoever thinks that it is his.
    release: () => undefined,
    end: () => Promise.resolve(),
    connect: async () => {
      joined = (await join()).client
    },
  }
  return new Proxy(own, {
    get(target, property, receiver): unknown {
      if (!HARMLESS.has(property)) return Reflect.get(target, property, receiver)
      const source = joined ?? (pool.Client.prototype as PgClient)
      const value: unknown = Reflect.get(source, property, source)
      return typeof value === 'function' ? (value.bind(source) as unknown) : value
    },
  })
}
