/**
 * One configured MySQL or MariaDB server: the composition of everything in this folder.
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
import { MysqlBranch } from './branch.ts'
import type { MysqlBranchFacts } from './branch.ts'
import { connectError, isRetryable } from './connect-errors.ts'
import type { Driver } from './driver.ts'
import { makeHandle } from './handle.ts'
import { lend } from './lending.ts'
import type { Statements } from './messages.ts'
import { MysqlByHand } from './by-hand.ts'
import { MysqlMemory } from './memory.ts'
import { endConnection } from './owners.ts'
import { PreparedBranches } from './prepared.ts'
import { Register } from './register.ts'
import type { Failover } from './register.ts'
import { schemaNames } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { IDLE_MS, SERVICE_CONNECTIONS, ServiceConnections } from './service-connections.ts'
import { Site } from './site.ts'
import type { Owner } from './xid.ts'

/** Options of `mysql2(pool, options)` and `mariadb(pool, options)`. */
export interface MysqlOptions {
  /** The schema (database) of Assent's tables. Default: `assent`. */
  readonly schema?: string
  /**
   * `lossless`: a replica that is promoted here has every commit that was ever acknowledged, and
   * branches that were in doubt then end by themselves. Default `lossy`: after a fail-over, branches
   * without a row in their register are held for a person. It covers promotion only: after any
   * restore, `assent.restored()` first.
   */
  readonly failover?: Failover
  /**
   * Whether statements of Assent's that follow each other go to the server in one message: `joined`
   * (MariaDB's compound statement, `BEGIN NOT ATOMIC … END`), or `single`, one after the other. Default:
   * `joined` on MariaDB, `single` on MySQL, which has no such statement. `single` on MariaDB is for a
   * proxy in between that reads statements and doesn't know this one; it takes a round trip more for the
   * beginning of a branch, and one more for its mark. `joined` on MySQL is refused when it is first used
   * (`ASSENT_OPTION`).
   */
  readonly statements?: Statements
}

export class MysqlParticipant<Handle> implements Participant<Handle> {
  readonly name: string
  readonly system: string
  readonly namesRegister = 'when it begins'
  readonly memory: MysqlMemory
  readonly byHand: MysqlByHand
  readonly #driver: Driver
  readonly #pool: object
  readonly #context: ParticipantContext
  readonly #names: SchemaNames
  readonly #statements: Statements | undefined
  readonly #scanning: ServiceConnections
  readonly #asking: ServiceConnections
  readonly #register: Register
  readonly #site: Site
  readonly #prepared: PreparedBranches
  readonly #branches: MysqlBranchFacts

  constructor(driver: Driver, pool: object, options: MysqlOptions, context: ParticipantContext) {
    const { app, name, world, retentionMs } = context
    this.name = name
    this.system = driver.system
    this.#driver = driver
    this.#pool = pool
    this.#context = context
    this.#names = schemaNames(options.schema ?? 'assent')
    this.#statements = options.statements
    const facts = { participant: name, driver, world }
    // Kept: the scans count these connections to know how many processes share the work.
    this.#scanning = new ServiceConnections({ ...facts, limit: 1, idleMs: Infinity })
    this.#asking = new ServiceConnections({
      ...facts,
      limit: SERVICE_CONNECTIONS,
      idleMs: IDLE_MS,
    })
    const marks = { names: this.#names, connections: this.#asking }
    this.#site = new Site(name, this.#names, this.#asking, options.statements)
    const failover = options.failover ?? 'lossy'
    const present = (): Promise<string> => this.#site.present()
    this.#register = new Register({ ...marks, world, retentionMs, failover, present })
    this.byHand = new MysqlByHand({ ...marks, participant: name, failover, present })
    this.memory = new MysqlMemory({ ...marks, app, name, register: this.#register })
    this.#prepared = new PreparedBranches({
      app,
      world,
      scanning: this.#scanning,
      asking: this.#asking,
      askReceipt: (question) => this.#register.ask(question),
      ...{ names: this.#names, present },
    })
    this.#branches = this.#branchFacts()
  }

  #branchFacts(): MysqlBranchFacts {
    return {
      name: this.name,
      names: this.#names,
      present: () => this.#site.present(),
      endElsewhere: (gid, decision) => this.endPrepared(gid, decision),
      endSession: (owner) => this.#endSession(owner),
      onStaleEpoch: () => {
        this.forgetEpoch()
        this.#site.forget()
      },
      withdraw: (txid) => this.#register.withdraw(txid),
    }
  }

  handle(join: () => Promise<Branch>): Handle {
    // The engine gives back the branch that `join` made, so it is ours.
    const ours = join as () => Promise<MysqlBranch>
    return makeHandle(this.name, this.#driver.system, this.#pool, ours) as Handle
  }

  async join(request: JoinRequest): Promise<MysqlBranch> {
    const { app, name, world, onPoolWait: onWaited } = this.#context
    const statements = this.#statements
    const facts = { app, name, driver: this.#driver, world, statements, onWaited }
    const lent = await lend(facts, request)
    return new MysqlBranch(this.#branches, request, lent)
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
      throw connectError(this.name, error)
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
      return await this.#prepared.list()
    } catch (error) {
      throw connectError(this.name, error)
    }
  }

  endPrepared(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer> {
    return this.#prepared.end(gid, decision)
  }

  async #endSession(owner: Owner): Promise<void> {
    try {
      await this.#asking.use(async (connection) => {
        if (connection.server.owner.start !== owner.start) return
        await endConnection(connection, owner.connection)
      })
    } catch {
      // The server is not reached either: its own time-outs remain.
    }
  }

  examine(): Promise<Examination> {
    return this.#site.examine(this.#context.world)
  }

  isRetryable(error: unknown): boolean {
    return isRetryable(error)
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
