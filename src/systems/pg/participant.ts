/**
 * One configured PostgreSQL database: the composition of everything in this folder.
 *
 * Owns: joining (a connection with a deadline, and its guard), and who uses which connection.
 * Promises: `join` either gives a branch, or holds nothing; a connection that comes too late is given
 * back at once.
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
import { PgBranch } from './branch.ts'
import type { PgBranchFacts } from './branch.ts'
import { BranchSession } from './branch-session.ts'
import type { Lent, SessionFacts } from './branch-session.ts'
import { connectError } from './connect-errors.ts'
import { connectionFacts, knownFacts } from './connection-facts.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import type { PgPool, PgPoolClient } from './driver.ts'
import { isServerError } from './driver.ts'
import type { Failover } from './epochs.ts'
import { GuardedConnection } from './guarded-connection.ts'
import { makeHandle } from './handle.ts'
import type { PgHandle } from './handle.ts'
import type { Replication } from './mark.ts'
import { PgMemory } from './memory.ts'
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
import { Wire } from './wire.ts'

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
   * What is between those connections and the server. Default: `direct`, which is checked, and
   * refused with `ASSENT_POOLER` where it isn't so. `session-pooler` is for a pooler or a provider's
   * proxy that gives each connection a session of its own until it is closed; that can't be checked.
   */
  readonly recoveryVia?: 'direct' | 'session-pooler'
  /**
   * `lossless`: a replica that is promoted here has every commit that was ever acknowledged
   * (synchronous replication, and a fail-over that keeps to it). Branches that were in doubt then
   * end by themselves. Default `lossy`: after a fail-over, branches without a row in their register
   * are held for a person. It covers promotion only: after any restore, `assent.restored()` first.
   */
  readonly failover?: Failover
}

/** How long no claim goes along with a first statement, after one has failed. */
const NO_FIRST_CLAIM_MS = 60_000
/** Serialization failures, deadlocks, and statements that somebody has deallocated. */
const RETRYABLE = new Set(['40001', '40P01', '26000'])
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
  /** As it was heard last; until then, whatever is slower. */
  #replication: Replication = 'synchronous'
  #claimsFirstFrom = -Infinity
  /** What all of its branches have in common: made once, as they are many. */
  readonly #sessions: SessionFacts
  readonly #branches: PgBranchFacts

  constructor(pool: P, options: PgOptions, context: ParticipantContext) {
    this.name = context.name
    this.#pool = pool
    this.#context = context
    this.#names = schemaNames(options.schema ?? 'assent')
    // Both names fit PostgreSQL's 63 characters, as an app's name is shorter than a gid.
    this.#scanName = `assent-scan:${context.app}`
    const facts = {
      participant: context.name,
      via: options.recoveryVia ?? 'direct',
      pool,
      options: options.recovery,
      world: context.world,
    }
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
    this.#sessions = this.#sessionFacts()
    this.#branches = this.#branchFacts()
  }

  handle(join: () => Promise<Branch>): PgHandle<P> {
    // The engine gives back the branch that `join` made, so it is ours.
    return makeHandle(this.#pool, join as () => Promise<PgBranch>) as PgHandle<P>
  }

  join(request: JoinRequest): Promise<PgBranch> {
    return this.#lend(request).then((lent) => {
      const session = new BranchSession(this.#sessions, request, lent)
      return new PgBranch(this.#branches, request, session)
    })
  }

  #sessionFacts(): SessionFacts {
    const { name, world } = this.#context
    return {
      name,
      names: this.#names,
      world,
      queryClass: () => this.#pool.Client.Query,
      lend: (request) => this.#lend(request),
      mayClaimFirst: () => world.now() >= this.#claimsFirstFrom,
      onClaimFailed: (how) => {
        this.forgetEpoch()
        if (how === 'no epoch') return
        this.#claimsFirstFrom = world.now() + NO_FIRST_CLAIM_MS
        this.#site.forget()
      },
    }
  }

  #branchFacts(): PgBranchFacts {
    const { name, world } = this.#context
    return {
      name,
      names: this.#names,
      world,
      replication: () => this.#replication,
      endElsewhere: (gid, decision) => this.endPrepared(gid, decision),
      hasDeferred: () => this.#register.hasDeferred,
      withdraw: (txid) => this.#register.withdraw(txid),
      onStaleEpoch: () => {
        this.forgetEpoch()
      },
      onTablesGone: () => {
        this.#site.forget()
        this.forgetEpoch()
      },
    }
  }

  async #lend(request: JoinRequest): Promise<Lent> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await this.#take(request)
      const release = (how: 'return' | 'destroy'): void => {
        client.removeListener('error', ignore)
        client.release(how === 'destroy')
      }
      try {
        const connection = knownFacts(client) ?? (await this.#readFacts(client, request))
        // Somebody gave it back inside a transaction, and our COMMIT would commit his work.
        const { status } = Wire.of(client.connection)
        if (status !== 'I') throw new Error(`its connection was left in status ${status}`)
        const guard = new GuardedConnection(this.name, client, request.access, this.#context.world)
        return { client, connection, guard, release }
      } catch (error) {
        release('destroy')
        const isOver = error instanceof AssentError || attempt >= JOIN_ATTEMPTS
        if (isOver || request.waiting.isOver) throw connectError(this.name, error)
      }
    }
  }

  async #readFacts(client: PgPoolClient, request: JoinRequest): Promise<ConnectionFacts> {
    const callOff = request.waiting.whenOver(() => {
      client.connection.stream.destroy()
    })
    try {
      const connection = await connectionFacts(this.name, client)
      this.#replication = connection.replication
      if (connection.role === 'replica' && request.access === 'write') throw this.#isReplica()
      return connection
    } finally {
      callOff()
    }
  }

  /** A connection of the pool, or an error once time is over; one that comes later goes back. */
  #take({ waiting }: JoinRequest): Promise<PgPoolClient> {
    const { promise, resolve, reject } = Promise.withResolvers<PgPoolClient>()
    let taken: PgPoolClient | undefined
    const callOff = waiting.whenOver(() => {
      reject(connectError(this.name, new Error('its pool had no connection in time')))
    })
    const take = (client: PgPoolClient): void => {
      if (taken !== undefined) {
        // Told twice, as callback and as promise; or given two.
        if (client !== taken) client.release()
        return
      }
      taken = client
      callOff()
      if (waiting.isOver) {
        client.release()
        return
      }
      // Without a listener, an error of an idle link would end the process.
      client.on('error', ignore)
      resolve(client)
    }
    const fail = (cause: unknown): void => {
      callOff()
      reject(connectError(this.name, cause))
    }
    try {
      connect(this.#pool, take, fail)
    } catch (cause) {
      // A pool whose settings can't be read throws, instead of rejecting.
      fail(cause)
    }
    return promise
  }

  readyToMark(): Promise<MarkSite> {
    return this.#site.ready()
  }

  knownSite(): MarkSite | undefined {
    return this.#site.known
  }

  knownEpoch(): string | undefined {
    return this.#site.known === undefined ? undefined : this.#register.knownEpoch
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
      const { replication, ...listed } = await listPrepared(this.#scanning, this.#scanName)
      this.#replication = replication
      return listed
    } catch (error) {
      throw connectError(this.name, error instanceof NoConnection ? (error.cause ?? error) : error)
    }
  }

  endPrepared(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer> {
    return endPrepared(this.#asking, gid, decision)
  }

  /** Wherever an ORM has wrapped it. */
  isRetryable(error: unknown): boolean {
    let current: unknown = error
    for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
      if (isServerError(current)) return RETRYABLE.has(current.code)
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

/**
 * By a callback, which the pool calls in the same moment in which it takes its own listener off: the
 * server's next message may be in the same packet, and say that it goes down.
 */
function connect(
  pool: PgPool,
  take: (client: PgPoolClient) => void,
  fail: (cause: unknown) => void,
): void {
  const withCallback = pool.connect.bind(pool) as (
    callback: (error: unknown, client: PgPoolClient | undefined) => void,
  ) => unknown
  const given = withCallback((error, client) => {
    if (client === undefined) fail(error)
    else take(client)
  })
  // Whoever wraps the pool may know the promise alone; or pass the callback on, and resolve with nothing.
  if (!isThenable(given)) return
  given.then((client) => {
    if (client !== undefined) take(client)
  }, fail)
}

function isThenable(value: unknown): value is PromiseLike<PgPoolClient | undefined> {
  return typeof value === 'object' && value !== null && 'then' in value
}

function ignore(): void {}
