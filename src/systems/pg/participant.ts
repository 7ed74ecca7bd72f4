/**
 * One configured PostgreSQL database: the composition of everything in this folder.
 *
 * Owns: what its branches have in common, and who uses which connection.
 * Promises: `join` either gives a branch, or holds nothing.
 */
import type { AskAnswer, EndAnswer, Gid } from '../../protocol/index.ts'
import type {
  Branch,
  Examination,
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
import type { SessionFacts } from './branch-session.ts'
import { connectError } from './connect-errors.ts'
import type { PgPool } from './driver.ts'
import { isServerError } from './driver.ts'
import type { Failover } from './epochs.ts'
import { makeHandle } from './handle.ts'
import type { PgHandle } from './handle.ts'
import { lend } from './lending.ts'
import type { LendingFacts } from './lending.ts'
import type { Replication } from './mark.ts'
import { PgByHand } from './by-hand.ts'
import { PgMemory } from './memory.ts'
import { endPrepared, listPrepared } from './prepared.ts'
import { Register } from './register.ts'
import { schemaNames } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { NoConnection } from '../common/slots.ts'
import { IDLE_MS, SERVICE_CONNECTIONS, ServiceConnections } from './service-connections.ts'
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
/** So long nobody is taken to wait for a standby, since it was heard. Scans say so much more often. */
const HEARD_FOR_MS = 60_000
/** Serialization failures, deadlocks, and statements that somebody has deallocated. */
const RETRYABLE = new Set(['40001', '40P01', '26000'])

export class PgParticipant<P extends PgPool> implements Participant<PgHandle<P>> {
  readonly name: string
  readonly system = 'pg'
  readonly namesRegister = 'when it votes'
  readonly #pool: P
  readonly #context: ParticipantContext
  readonly #names: SchemaNames
  readonly #scanName: string
  readonly #scanning: ServiceConnections
  readonly #asking: ServiceConnections
  readonly #register: Register
  readonly #site: Site
  readonly memory: PgMemory
  readonly byHand: PgByHand
  #heard: { readonly replication: Replication; readonly at: number } | undefined
  #claimsFirstFrom = -Infinity
  /** What all of its branches have in common: made once, as they are many. */
  readonly #lending: LendingFacts
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
    this.byHand = new PgByHand({ ...marks, participant: name, failover })
    this.#site = new Site(context.name, this.#names, this.#asking)
    this.#lending = this.#lendingFacts()
    this.#sessions = this.#sessionFacts()
    this.#branches = this.#branchFacts()
  }

  handle(join: () => Promise<Branch>): PgHandle<P> {
    // The engine gives back the branch that `join` made, so it is ours.
    return makeHandle(this.#pool, join as () => Promise<PgBranch>) as PgHandle<P>
  }

  join(request: JoinRequest): Promise<PgBranch> {
    return lend(this.#lending, request, (lent) => {
      const session = new BranchSession(this.#sessions, request, lent)
      return new PgBranch(this.#branches, request, session)
    })
  }

  #lendingFacts(): LendingFacts {
    const { name, world, onPoolWait } = this.#context
    return {
      name,
      world,
      pool: this.#pool,
      onWaited: onPoolWait,
      onRead: ({ replication }) => {
        this.#hear(replication)
      },
    }
  }

  #sessionFacts(): SessionFacts {
    const { name, world } = this.#context
    return {
      name,
      names: this.#names,
      world,
      queryClass: () => this.#pool.Client.Query,
      lend: (request) => lend(this.#lending, request, (lent) => lent),
      mayClaimFirst: () => world.now() >= this.#claimsFirstFrom,
      onClaimFailed: (how) => {
        this.forgetEpoch()
        if (how === 'no epoch') return
        this.#claimsFirstFrom = world.now() + NO_FIRST_CLAIM_MS
        this.#site.forget()
      },
    }
  }

  #hear(replication: Replication): void {
    this.#heard = { replication, at: this.#context.world.now() }
  }

  /** As it was heard last, unless that is long ago: then, whatever says more. */
  #replication(): Replication {
    const heard = this.#heard
    if (heard === undefined) return 'synchronous'
    return this.#context.world.now() - heard.at <= HEARD_FOR_MS ? heard.replication : 'synchronous'
  }

  #branchFacts(): PgBranchFacts {
    const { name, world } = this.#context
    return {
      name,
      names: this.#names,
      world,
      replication: () => this.#replication(),
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
      this.#hear(replication)
      return listed
    } catch (error) {
      this.#heard = undefined
      throw connectError(this.name, error instanceof NoConnection ? (error.cause ?? error) : error)
    }
  }

  endPrepared(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer> {
    return endPrepared(this.#asking, gid, decision)
  }

  examine(): Promise<Examination> {
    return this.#site.examine(this.#context.world)
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
}
