/**
 * What users hold inside a transaction: node-postgres' own `query`, and a guarded client.
 *
 * Owns: the types taken from the user's pool, and the lazy join at the first statement.
 * Promises: every form of `query` that the pool has (promise, callback, Query, Cursor, QueryStream)
 * behaves as node-postgres documents it; `client` can be given to whatever expects a PoolClient.
 * Never: lets `release`, `end` or the protocol connection be reached through the client.
 */
import { EventEmitter } from 'node:events'
import type { PgPool } from './driver.ts'
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
  return new LazyHandle(pool, join)
}

class LazyHandle {
  readonly #pool: PgPool
  readonly #join: Join
  #client: unknown

  constructor(pool: PgPool, join: Join) {
    this.#pool = pool
    this.#join = join
  }

  // A field, so that it can be passed on by itself.
  readonly query = (...args: readonly unknown[]): unknown => lazily(this.#join, args)

  /** Most transactions never ask for it. */
  get client(): unknown {
    this.#client ??= guardedClient(this.#pool, this.#join)
    return this.#client
  }
}

/** Joins, then runs the query; the order of calls is the order of statements. */
function lazily(
  join: Join,
  args: readonly unknown[],
  adopt: (branch: PgBranch) => void = () => undefined,
): unknown {
  const [config] = args
  const callback = callbackOf(args)
  const running = join().then((branch) => {
    // Here, and not in a promise before: whoever has more of them comes later.
    adopt(branch)
    return branch.query(args)
  })
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

function callbackOf(args: readonly unknown[]): ((error: unknown) => void) | undefined {
  for (const arg of args) if (typeof arg === 'function') return arg as (error: unknown) => void
  const [config] = args
  if (typeof config !== 'object' || config === null || !('callback' in config)) return undefined
  const { callback } = config
  return typeof callback === 'function' ? (callback as (error: unknown) => void) : undefined
}

/** Members of a client that need no connection. */
const STATELESS = new Set<string | symbol>(['escapeIdentifier', 'escapeLiteral'])
/** Members that mean something once the branch has its connection. */
const CONNECTED = new Set<string | symbol>(['processID', 'getTypeParser', 'setTypeParser'])
/** Events of the connection that a branch passes on while it has it. */
const EVENTS = ['notice', 'notification'] as const

function guardedClient(pool: PgPool, join: Join): unknown {
  // Listeners are the branch's, not the connection's: that one is the next transaction's soon.
  const events = new EventEmitter()
  let branch: PgBranch | undefined
  const adopt = (joined: PgBranch): void => {
    if (branch !== undefined) return
    branch = joined
    branch.passOn(EVENTS, (event, message) => events.emit(event, message))
  }
  const own: Record<string | symbol, unknown> = {
    query: (...args: readonly unknown[]) => lazily(join, args, adopt),
    // The branch's connection ends with the branch, whoever thinks that it is his.
    release: () => undefined,
    end: () => Promise.resolve(),
    connect: async () => {
      const joined = await join()
      adopt(joined)
      await joined.connect()
    },
  }
  for (const name of ['on', 'once', 'off', 'addListener', 'removeListener'] as const) {
    own[name] = (event: string, listener: (message: unknown) => void) => {
      events[name](event, listener)
      return client
    }
  }
  const client: unknown = new Proxy(own, {
    get(target, property, receiver): unknown {
      if (STATELESS.has(property)) return boundMember(pool.Client.prototype as object, property)
      if (!CONNECTED.has(property)) return Reflect.get(target, property, receiver)
      return branch === undefined ? undefined : boundMember(branch.client, property)
    },
  })
  return client
}

function boundMember(of: object, property: string | symbol): unknown {
  const value: unknown = Reflect.get(of, property, of)
  return typeof value === 'function' ? (value.bind(of) as unknown) : value
}
