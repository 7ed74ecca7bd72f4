/**
 * A database of a test's own, on a server that the user has.
 *
 * Owns: its random name, and its end: nothing prepared is left on the server.
 * Promises: touches no other database; no connection string in any error.
 * Never: imports a driver. The user's own is given.
 */
import { AssentError } from '../protocol/index.ts'
import { dropMysql, openMysql } from './throw-away-mysql.ts'
import { dropPg, openPg } from './throw-away-pg.ts'

/** The module `pg`, `mysql2/promise` or `mariadb`, as it is imported. */
export type TestDriver =
  | { readonly Client: abstract new (...args: never) => object }
  | { readonly createConnection: (config: never) => Promise<object> }

/** Options of `throwAwayDatabase`. */
export interface ThrowAwayOptions {
  /** Of any database of the server: `postgres://…`, `mysql://…` or `mariadb://…`. */
  readonly url: string
  /** What the program itself connects with: `pg`, `mysql2/promise` or `mariadb`. */
  readonly driver: TestDriver
  /**
   * The app of the Assent objects under test, where `url` is of MySQL or MariaDB: there a prepared branch
   * belongs to the server, so that only its app tells whose it is. What is left of it is rolled back at
   * the end. Default: nothing is.
   */
  readonly app?: string
}

/** A database that is gone after the test. */
export interface ThrowAwayDatabase {
  readonly name: string
  /** What a pool connects with: `url` with the name of this database. */
  readonly url: string
  /** Rolls back what is left prepared, and drops the database. Close the pools first. Idempotent. */
  drop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Creates a database of a random name. The role needs the right to create one.
 *
 * @throws AssentError `ASSENT_OPTION` for a url or a driver that is none; or the driver's own error
 * @example
 * ```ts
 * import pg from 'pg'
 * import { throwAwayDatabase } from 'assent/testing'
 *
 * const url = process.env['TEST_URL'] ?? 'postgres://localhost/postgres'
 * await using orders = await throwAwayDatabase({ url, driver: pg })
 * const pool = new pg.Pool({ connectionString: orders.url })
 * await pool.query('create table orders (sku text)')
 * await pool.end()
 * ```
 */
export async function throwAwayDatabase(options: ThrowAwayOptions): Promise<ThrowAwayDatabase> {
  const { url, driver, app } = options
  const name = `assent_test_${randomLetters(12)}`
  const own = withDatabase(url, name)
  const isPg = /^postgres(ql)?:$/.test(own.protocol)
  checkDriver(driver, isPg)
  const open = isPg ? openPg : openMysql
  const server = await open(driver, url)
  try {
    await server.query(`CREATE DATABASE ${name}`)
  } finally {
    await server.end()
  }
  let dropping: Promise<void> | undefined
  const drop = (): Promise<void> => {
    dropping ??= isPg ? dropPg(driver, url, own.href, name) : dropMysql(driver, url, name, app)
    return dropping
  }
  return { name, url: own.href, drop, [Symbol.asyncDispose]: drop }
}

function withDatabase(url: unknown, name: string): URL {
  const own = typeof url === 'string' ? URL.parse(url) : null
  if (own === null || !/^(postgres(ql)?|mysql|mariadb):$/.test(own.protocol)) {
    // What was given may have a password in it.
    throw wrong('a `url` that is no URL of a server', 'postgres://…, mysql://… or mariadb://…')
  }
  own.pathname = `/${name}`
  return own
}

function checkDriver(driver: unknown, isPg: boolean): void {
  const member = isPg ? 'Client' : 'createConnection'
  const module = driver as Partial<Record<string, unknown>> | null | undefined
  if (typeof module?.[member] === 'function') return
  throw wrong(
    `a \`driver\` without ${member}`,
    isPg ? "the module 'pg' for this url" : "the module 'mysql2/promise' or 'mariadb' for this url",
  )
}

function wrong(given: string, expected: string): AssentError {
  return new AssentError({
    code: 'ASSENT_OPTION',
    outcome: 'aborted',
    message: `throwAwayDatabase() was given ${given}. Expected ${expected}.`,
  })
}

/** Of an alphabet that no server quotes. */
function randomLetters(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length))
  return Array.from(bytes, (byte) => 'abcdefghijklmnopqrstuvwxyz'[byte % 26]).join('')
}
