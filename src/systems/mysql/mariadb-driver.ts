/**
 * The driver `mariadb`, typed structurally: no import of it, so that it stays an optional peer.
 *
 * Owns: the few members of its pools and connections that are used.
 * Promises: none of our statements is sent before the one before it was answered, though this driver
 * sends ahead by default: a COMMIT must never be on its way behind a mark that may fail.
 */
import type { Driver, Link, Reply, Rows } from './driver.ts'
import { callMember } from './call-member.ts'
import { Pending } from './pending.ts'

/** A pool of `mariadb` (its promise API). */
export interface MariadbPool {
  getConnection(): Promise<MariadbPoolConnection>
  query: unknown
  execute: unknown
  batch: unknown
}

/** A connection of it, or of `createConnection`. */
export interface MariadbConnection {
  /** The same object for all wrappers of one physical connection. */
  readonly info?: object | null
  query(options: object): Promise<unknown>
  on(event: 'error', listener: (error: unknown) => void): unknown
  removeListener(event: 'error', listener: (error: unknown) => void): unknown
  destroy(): void
}

export interface MariadbPoolConnection extends MariadbConnection {
  release(): Promise<void>
}

export class MariadbDriver implements Driver {
  readonly system = 'mariadb'
  readonly #pool: MariadbPool
  readonly #connect: () => Promise<MariadbConnection>

  constructor(pool: MariadbPool, connect: () => Promise<MariadbConnection>) {
    this.#pool = pool
    this.#connect = connect
  }

  async take(): Promise<Link> {
    const connection = await this.#pool.getConnection()
    return new MariadbLink(connection, () => connection.release())
  }

  async connect(): Promise<Link> {
    const connection = await this.#connect()
    return new MariadbLink(connection, () => Promise.resolve())
  }
}

class MariadbLink implements Link {
  readonly key: object
  readonly #connection: MariadbConnection
  readonly #release: () => Promise<void>
  readonly #pending = new Pending()

  constructor(connection: MariadbConnection, release: () => Promise<void>) {
    this.key = connection.info ?? connection
    this.#connection = connection
    this.#release = release
    connection.on('error', ignore)
  }

  run(method: string, args: readonly unknown[]): Promise<unknown> {
    return this.#pending.run(() => callMember(this.#connection, method, args))
  }

  onBroken(listener: () => void): void {
    this.#connection.on('error', listener)
  }

  send(text: string): Promise<Reply> {
    return this.#pending.answer(async () =>
      readResult(await this.#connection.query({ ...OUR_WAY, sql: text })),
    )
  }

  cut(): void {
    // While something is under way, `destroy()` would open a connection to kill it, and leave a promise
    // rejected that nobody has if it is gone already. The branch has its session ended by itself.
    this.#pending.cut(() => {
      this.#connection.destroy()
    })
  }

  release(): void {
    this.#connection.removeListener('error', ignore)
    // What it rejects with is the pool's business: it has dropped the connection then.
    this.#release().catch(ignore)
  }

  /** This driver does not show its socket: these connections keep the process alive until `close()`. */
  keepAlive(): void {}
}

const OUR_WAY = {
  rowsAsArray: true,
  nestTables: false,
  namedPlaceholders: false,
  metaAsArray: false,
  typeCast: (column: { string(): string | null }): string | null => column.string(),
}

function readResult(result: unknown): Reply {
  if (Array.isArray(result)) {
    return { kind: 'answered', affected: 0, warnings: 0, rows: result as Rows }
  }
  const { affectedRows = 0, warningStatus = 0 } = (result ?? {}) as {
    readonly affectedRows?: number
    readonly warningStatus?: number
  }
  return { kind: 'answered', affected: affectedRows, warnings: warningStatus, rows: [] }
}

function ignore(): void {}
