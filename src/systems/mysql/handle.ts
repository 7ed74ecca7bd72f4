/**
 * What users hold inside a transaction: the driver's own `query` and `execute`, and a guarded
 * connection.
 *
 * Owns: the types taken from the user's pool, and the lazy join at the first statement.
 * Promises: a statement's arguments, result and error are the driver's own.
 * Never: lets `release`, `end`, `destroy` or a transaction of the driver's reach the connection.
 */
import { AssentError } from '../../protocol/index.ts'
import type { MysqlBranch } from './branch.ts'

/** The connection type of a pool: what its `getConnection` resolves with. */
export type ConnectionOf<P> = P extends { getConnection(): Promise<infer C> } ? C : never

type Join = () => Promise<MysqlBranch>

/** Methods that run statements, by driver. */
export const STATEMENT_METHODS = {
  mysql2: ['query', 'execute'],
  mariadb: ['query', 'execute', 'batch'],
} as const

/** Members that need no connection. */
const STATELESS = ['escape', 'escapeId', 'format'] as const
/** What whoever thinks that the connection is his may call: it ends with the branch. */
const NO_OPS = ['release', 'end', 'destroy', 'close'] as const
const CONTROL = ['beginTransaction', 'commit', 'rollback', 'changeUser', 'reset'] as const

export function makeHandle(
  name: string,
  system: keyof typeof STATEMENT_METHODS,
  pool: object,
  join: Join,
): object {
  const statements: Record<string, unknown> = {}
  for (const method of STATEMENT_METHODS[system]) {
    statements[method] = (...args: readonly unknown[]) => run(join, method, args)
  }
  // Most transactions never ask for it.
  let connection: object | undefined
  return Object.defineProperty({ ...statements }, 'connection', {
    enumerable: true,
    get: () => (connection ??= guardedConnection(name, pool, statements)),
  })
}

/** Joins, then runs the statement; the order of calls is the order of statements. */
async function run(join: Join, method: string, args: readonly unknown[]): Promise<unknown> {
  const branch = await join()
  return branch.run(method, args)
}

function guardedConnection(name: string, pool: object, statements: object): object {
  const connection: Record<string | symbol, unknown> = { ...statements }
  for (const method of NO_OPS) connection[method] = () => Promise.resolve()
  connection[Symbol.asyncDispose] = () => Promise.resolve()
  for (const method of CONTROL) {
    connection[method] = () => Promise.reject(refused(name, method))
  }
  for (const member of STATELESS) {
    const value: unknown = Reflect.get(pool, member)
    if (typeof value === 'function') connection[member] = value.bind(pool) as unknown
  }
  return connection
}

function refused(name: string, method: string): AssentError {
  return new AssentError({
    code: 'ASSENT_TRANSACTION_CONTROL',
    outcome: 'aborted',
    message:
      `${method}() on ${name} was refused: transaction() begins and ends the transaction. ` +
      `Use SAVEPOINT and ROLLBACK TO inside it.`,
  })
}
