/**
 * One configured PostgreSQL database: the composition of everything in this folder.
 *
 * Owns: joining (a connection with a deadline, BEGIN, its guard), and who uses which connection.
 * Promises: `join` either gives a branch, or has begun nothing; a connection that comes too late is
 * given back at once.
 */
import { AssentError } from '../../protocol/index.ts'
import type { AskAnswer, EndAnswer, Gid } from '../../protocol/index.ts'
import type {
  Branch,
  JoinRequest,
  MarkSite,
  Participant,
  ParticipantContext,
  PreparedList,
  Question,
} from '../../ports/index.ts'
import { PgBranch, beginStatements } from './branch.ts'
import { sameTags, surprise } from './answers.ts'
import { connectError } from './connect-errors.ts'
import { connectionFacts } from './connection-facts.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import type { PgPool, PgPoolClient } from './driver.ts'
import { isServerError } from './driver.ts'
import type { Failover } from './epochs.ts'
import { GuardedConnection } from './guarded-connection.ts'
import { makeHandle } from './handle.ts'
import type { PgHandle } from './handle.ts'
import { PgMemory } from './memory.ts'
import { send } from './message.ts'
import { endPrepared, listPrepared } from './prepared.ts'
import { Register } from './register.ts'
import { schemaNames } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import {
  IDLE_MS,
  NoConnection,
  SERVICE_CONNECTIONS,
  ServiceConnections,
} from './service-connections.ts'
import { Site } from './site.ts'

/** Options of `pg(pool, options)`. */
export interface PgOptions {
  /** The schema of Assent's tables. Default: `assent`. */
  readonly schema?: string
  /**
   * What recovery connects with, as for `new pg.Client(…)`. Default: the pool's own options. Needed
   * when the pool goes through a pooler that would share one session between clients.
   */
  readonly recovery?: object
  /**
   * `lossless`: a replica that is promoted here has every commit that was ever acknowledged
   * (synchronous replication, and a fail-over that keeps to it). Branches that were in doubt then
   * end by themselves. Default `lossy`: after a fail-over, branches without a row in their register
   * are held for a person.
   */
  readonly failover?: Failover
}

/** Pooled connections can be dead without knowing it, all of them, after a server's restart. */
const JOIN_ATTEMPTS = 3

export class PgParticipant<P extends PgPool> implements Participant<PgHandle<P>> {
  readonly name: string
  readonly system = 'pg'
  readonly #pool: P
  readonly #context: ParticipantContext
  readonly #names: SchemaNames
  readonly #scanName: string
  readonly #scanning: ServiceConnections
  readonly #asking: ServiceConnections
  readonly #register: Register
  readonly #site: Site
  readonly memory: PgMemory

  constructor(pool: P, options: PgOptions, context: ParticipantContext) {
    this.name = context.name
    this.#pool = pool
    this.#context = context
    this.#names = schemaNames(options.schema ?? 'assent')
    // Both names fit PostgreSQL's 63 characters, as an app's name is shorter than a gid.
    this.#scanName = `assent-scan:${context.app}`
    const facts = { pool, options: options.recovery, world: context.world }
    this.#scanning = new ServiceConnections({
      ...facts,
      applicationName: this.#scanName,
      limit: 1,
      // Kept: the scans count these connections to know how many processes share the work.
      idleMs: Infinity,
    })
    this.#asking = new ServiceConnections({
      ...facts,
      applicationName: `assent-recovery:${context.app}`,
      limit: SERVICE_CONNECTIONS,
      idleMs: IDLE_MS,
    })
    const marks = { names: this.#names, connections: this.#asking }
    const { app, name, world, retentionMs } = context
    const failover = options.failover ?? 'lossy'
    this.#register = new Register({ ...marks, world, failover, retentionMs })
    this.memory = new PgMemory({ ...marks, app, name, register: this.#register })
    this.#site = new Site(context.name, this.#names, this.#asking)
  }

  handle(join: () => Promise<Branch>): PgHandle<P> {
    // The engine gives back the branch that `join` made, so it is ours.
    return makeHandle(this.#pool, join as () => Promise<PgBranch>) as PgHandle<P>
  }

  async join(request: JoinRequest): Promise<PgBranch> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await this.#take(request)
      const listener = (): void => undefined
      // Without a listener, an error of an idle link would end the process.
      client.on('error', listener)
      const release = (how: 'return' | 'destroy'): void => {
        client.removeListener('error', listener)
        client.release(how === 'destroy')
      }
      try {
        return await this.#begin(client, release, request)
      } catch (error) {
        release('destroy')
        const isOver = error instanceof AssentError || attempt >= JOIN_ATTEMPTS
        if (isOver || request.signal.aborted) throw connectError(this.name, error)
      }
    }
  }

  async #begin(
    client: PgPoolClient,
    release: (how: 'return' | 'destroy') => void,
    request: JoinRequest,
  ): Promise<PgBranch> {
    const cut = (): void => {
      client.connection.stream.destroy()
    }
    request.signal.addEventListener('abort', cut, { once: true })
    try {
      const connection = await connectionFacts(this.name, client)
      if (connection.role === 'replica' && request.access === 'write') throw this.#isReplica()
      return await this.#beginBranch(client, connection, release, request)
    } finally {
      request.signal.removeEventListener('abort', cut)
    }
  }

  async #beginBranch(
    client: PgPoolClient,
    connection: ConnectionFacts,
    release: (how: 'return' | 'destroy') => void,
    request: JoinRequest,
  ): Promise<PgBranch> {
    const { world } = this.#context
    const nonce = Buffer.from(world.randomBytes(9)).toString('base64url')
    const statements = beginStatements(request, nonce, connection.timeouts)
    const begun = await send(client, statements)
    if (begun.kind === 'lost') throw begun.cause
    if (begun.error !== undefined) throw begun.error
    // A connection that somebody gave back inside a transaction warns, and would commit his work.
    const tags = ['BEGIN', ...statements.slice(1).map(() => 'SET')]
    const isFresh = begun.warnings.every((warning) => warning.during !== 0)
    if (!isFresh || begun.status !== 'T' || !sameTags(begun.tags, tags)) throw surprise(begun)
    return new PgBranch({
      name: this.name,
      client,
      connection,
      release,
      guard: new GuardedConnection(this.name, client, request.access),
      names: this.#names,
      world,
      nonce,
      deadline: request.deadline,
      endElsewhere: (gid, decision) => this.endPrepared(gid, decision),
      onStaleEpoch: () => {
        this.forgetEpoch()
      },
      onTablesGone: () => {
        this.#site.forget()
        this.forgetEpoch()
      },
    })
  }

  /** A connection of the pool, or an error once time is over; one that comes later goes back. */
  async #take(request: JoinRequest): Promise<PgPoolClient> {
    // A pool whose settings can't be read throws here, instead of rejecting.
    const connecting = (async () => this.#pool.connect())()
    const over = Promise.withResolvers<'over'>()
    const onOver = (): void => {
      over.resolve('over')
    }
    request.signal.addEventListener('abort', onOver, { once: true })
    if (request.signal.aborted) onOver()
    try {
      const first = await Promise.race([connecting, over.promise])
      if (first !== 'over') return first
    } catch (cause) {
      throw connectError(this.name, cause)
    } finally {
      request.signal.removeEventListener('abort', onOver)
    }
    connecting.then(
      (client) => {
        client.release()
      },
      () => undefined,
    )
    throw connectError(this.name, new Error('its pool had no connection in time'))
  }

  readyToMark(): Promise<MarkSite> {
    return this.#site.ready()
  }

  async currentEpoch(): Promise<string> {
    await this.#site.ready()
    try {
      return await this.#register.currentEpoch()
    } catch (error) {
      throw connectError(this.name, error instanceof NoConnection ? (error.cause ?? error) : error)
    }
  }

  forgetEpoch(): void {
    this.#register.forgetEpoch()
  }

  ask(question: Question): Promise<AskAnswer> {
    return this.#register.ask(question)
  }

  lookUp(txid: string): Promise<'committed' | 'not-found' | 'unclear'> {
    return this.#register.lookUp(txid)
  }

  async listPrepared(): Promise<PreparedList> {
    try {
      return await listPrepared(this.#scanning, this.#scanName)
    } catch (error) {
      throw connectError(this.name, error instanceof NoConnection ? (error.cause ?? error) : error)
    }
  }

  endPrepared(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer> {
    return endPrepared(this.#asking, gid, decision)
  }

  /** Serialization failures and deadlocks, wherever an ORM has wrapped them. */
  isRetryable(error: unknown): boolean {
    let current: unknown = error
    for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
      if (isServerError(current)) return ['40001', '40P01'].includes(current.code)
      current = current.cause
    }
    return false
  }

  migrate(options: { readonly print: boolean }): Promise<string> {
    return this.#site.migrate(options)
  }

  async restored(options: { readonly print: boolean }): Promise<string> {
    const sql = await this.#site.restored(options)
    this.forgetEpoch()
    return sql
  }

  async close(): Promise<void> {
    await Promise.all([this.#scanning.close(), this.#asking.close()])
  }

  #isReplica(): AssentError {
    return new AssentError({
      code: 'ASSENT_REPLICA',
      outcome: 'aborted',
      message:
        `Participant ${this.name} is a read-only replica and can't be written. Connect to the ` +
        `primary, or declare it: { reads: ['${this.name}'] }.`,
    })
  }
}
