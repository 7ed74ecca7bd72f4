/**
 * The driver `mysql2`, typed structurally: no import of it, so that it stays an optional peer.
 *
 * Owns: the few members of its pools and connections that are used.
 * Promises: what a user's pool is configured with (typeCast, rowsAsArray, named placeholders) has no
 * effect on our own statements.
 */
import type { Driver, Link, Reply, Rows } from './driver.ts'
import { callMember } from './call-member.ts'
import { Pending } from './pending.ts'

/** A pool of `mysql2/promise`. */
export interface Mysql2Pool {
  getConnection(): Promise<Mysql2PoolConnection>
  query: unknown
  execute: unknown
}

/** What `getConnection()` gives: a wrapper around the connection that counts. */
export interface Mysql2PoolConnection {
  readonly connection: Mysql2Core
}

interface Mysql2Core {
  readonly stream: { destroy(): void; ref?(): void; unref?(): void }
  query(
    options: object,
    callback: (error: Error | null, result: unknown, fields: unknown) => void,
  ): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
  removeListener(event: 'error', listener: (error: unknown) => void): unknown
  destroy(): void
  release(): void
}

/** The pool behind the pool: of callbacks. */
interface Mysql2CorePool {
  readonly config: { readonly connectionConfig: object }
  getConnection(callback: (error: unknown, connection: Mysql2Core | undefined) => void): void
}

export class Mysql2Driver implements Driver {
  readonly system = 'mysql2'
  readonly #pool: Mysql2Pool
  #own: Mysql2CorePool | undefined

  constructor(pool: Mysql2Pool) {
    this.#pool = pool
  }

  async take(): Promise<Link> {
    const wrapper = await this.#pool.getConnection()
    return new Mysql2Link(wrapper.connection, wrapper)
  }

  connect(): Promise<Link> {
    this.#own ??= ownPool(this.#pool)
    const own = this.#own
    return new Promise((resolve, reject) => {
      own.getConnection((error, core) => {
        if (core === undefined) reject(error instanceof Error ? error : new Error(String(error)))
        else resolve(new Mysql2Link(core, core))
      })
    })
  }
}

/**
 * A pool like the user's, without a limit: its connections are never given back, only cut. A copy of
 * the settings, since a pool writes itself into those that it is made with.
 */
function ownPool(pool: Mysql2Pool): Mysql2CorePool {
  const { pool: core } = pool as unknown as { readonly pool: Mysql2CorePool }
  const { connectionConfig } = core.config
  const copy = Object.create(
    Object.getPrototypeOf(connectionConfig) as object,
    Object.getOwnPropertyDescriptors(connectionConfig),
  ) as object
  const OwnPool = core.constructor as new (options: object) => Mysql2CorePool
  return new OwnPool({
    config: { ...core.config, connectionConfig: copy, connectionLimit: 0, maxIdle: 0 },
  })
}

class Mysql2Link implements Link {
  readonly key: object
  readonly #raw: object
  readonly #core: Mysql2Core
  readonly #pending = new Pending()

  constructor(core: Mysql2Core, raw: object) {
    this.key = core
    this.#raw = raw
    this.#core = core
    // Without a listener, an error of an idle connection would end the process.
    core.on('error', ignore)
  }

  run(method: string, args: readonly unknown[]): Promise<unknown> {
    return this.#pending.run(() => callMember(this.#raw, method, args))
  }

  onBroken(listener: () => void): void {
    this.#core.on('error', listener)
  }

  send(text: string): Promise<Reply> {
    return this.#pending.answer(
      () =>
        new Promise((resolve, reject) => {
          this.#core.query({ ...OUR_WAY, sql: text }, (error, result) => {
            if (error === null) resolve(readResult(result))
            else reject(error)
          })
        }),
    )
  }

  cut(): void {
    this.#pending.cut()
    // Not `destroy()` of the connection: that leaves whatever was asked without any answer.
    this.#core.stream.destroy()
  }

  release(): void {
    this.#core.removeListener('error', ignore)
    this.#core.release()
  }

  keepAlive(how: 'yes' | 'no'): void {
    if (how === 'yes') this.#core.stream.ref?.()
    else this.#core.stream.unref?.()
  }
}

const OUR_WAY = {
  rowsAsArray: true,
  nestTables: false,
  namedPlaceholders: false,
  typeCast: (field: { string(): string | null }): string | null => field.string(),
}

function readResult(result: unknown): Reply {
  if (Array.isArray(result)) {
    return { kind: 'answered', affected: 0, warnings: 0, rows: result as Rows }
  }
  const { affectedRows = 0, warningStatus = 0 } = result as {
    readonly affectedRows?: number
    readonly warningStatus?: number
  }
  return { kind: 'answered', affected: affectedRows, warnings: warningStatus, rows: [] }
}

function ignore(): void {}
