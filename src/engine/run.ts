/**
 * One transaction, from the user's function to the promise that it gets.
 *
 * Owns: joining lazily, settling the roles, and handing over to the machines.
 * Promises: whatever happens before the first mark, everything is rolled back; after it, the
 * machines and recovery own the ending. A statement that was not awaited is drained first.
 * Never: sends anything of the commit path itself.
 */
import { AssentError, formatTransactionId, settle } from '../protocol/index.ts'
import type { OnePhasePlan, Plan, TransactionId, TwoPhasePlan } from '../protocol/index.ts'
import type {
  Branch,
  BranchFault,
  Isolation,
  JoinRequest,
  Mark,
  Participant,
  World,
} from '../ports/index.ts'
import { commitOnePhase, commitTwoPhase } from './commit.ts'
import type { Commitment } from './commit.ts'
import type { Running } from './interpret.ts'
import { Joining, endLateJoin, faultOf } from './joining.ts'
import type { Meters } from './meters.ts'
import { Naming, joinedOf } from './naming.ts'
import { onePhaseError, twoPhaseError } from './outcome-error.ts'
import type { Recovery } from './recover.ts'
import type { Over } from './over.ts'
import { cannotPrepare, ended, mayPass, refuseSameDatabase } from './run-errors.ts'
import { TracedBranch, traceJoin } from './traced.ts'
import type { TracedFacts } from './traced.ts'
import type { Warmth } from './warmth.ts'

export interface RunSetting {
  readonly app: string
  readonly participants: ReadonlyMap<string, Participant>
  readonly world: World
  readonly recovery: Recovery
  readonly warmth: Warmth
  readonly meters: Meters
  /** Told of work that goes on after the caller was answered. @returns what to call at its end */
  readonly background: () => () => void
}

export interface RunOptions {
  readonly txid: string
  readonly reads: ReadonlySet<string>
  readonly isolation: (participant: string) => Isolation | undefined
  readonly decider: string | undefined
  readonly resolveWhen: 'applied' | 'decided'
  /** Whether a transaction in one database is marked too, so that it can be asked for. */
  readonly receipt: 'always' | 'when needed'
  /** On `World.now()`. */
  readonly deadline: number
  readonly timeoutMs: number
  readonly over: Over
  /** Undefined while nobody listens. */
  readonly traced: TracedFacts | undefined
}

/** How a run ended, when it did not throw. */
export interface Committed<T> {
  readonly value: T
  readonly id: string
}

export class Run {
  readonly #setting: RunSetting
  readonly #options: RunOptions
  /** In the order of joining. */
  readonly #joinings: Joining[] = []
  #stage: 'working' | 'settled' = 'working'
  readonly #naming: Naming
  #plan: Plan | undefined
  /** A participant that was used after the work had ended. */
  #late: string | undefined
  #running: Running<unknown> | undefined

  constructor(setting: RunSetting, options: RunOptions) {
    this.#setting = setting
    this.#options = options
    const { app, participants } = setting
    const { txid, decider, reads, over } = options
    this.#naming = new Naming({ app, txid, decider, reads, over, participants })
  }

  /** The roles, once they are settled. */
  get plan(): Plan | undefined {
    return this.#plan
  }

  /** Joins a participant at its first use. @throws AssentError when it can't be joined, or too late */
  join(name: string): Promise<Branch> {
    if (this.#stage === 'settled') {
      this.#objection(name)
      return Promise.reject(ended(name))
    }
    for (const before of this.#joinings) if (before.name === name) return before.branch
    const { traced } = this.#options
    const joining =
      traced === undefined ? new Joining(name, this.#begin(name)) : this.#trace(name, traced)
    this.#joinings.push(joining)
    return joining.branch
  }

  /** The user's handle gets the branch that the participant made; what the engine says to it is told. */
  #trace(name: string, traced: TracedFacts): Joining {
    const access = this.#options.reads.has(name) ? 'read' : 'write'
    const branch = traceJoin(traced, name, access, () => this.#begin(name))
    return new Joining(name, branch, (joined) => new TracedBranch(joined, access, traced))
  }

  #begin(name: string): Promise<Branch> {
    const { warmth } = this.#setting
    const { txid, reads, isolation, deadline, timeoutMs, over, receipt } = this.#options
    const participant = this.#participant(name)
    const access = reads.has(name) ? 'read' : 'write'
    // Before BEGIN, so that the epoch which the claim must find is in every snapshot.
    const cold = access === 'write' ? warmth.of(participant, receipt) : undefined
    const request: JoinRequest = {
      txid,
      access,
      gid: undefined,
      isolation: isolation(name),
      deadline,
      timeoutMs,
      waiting: over,
      firstClaim: () => (access === 'write' ? this.#firstClaim(name, participant) : undefined),
    }
    if (access === 'write' && participant.namesRegister === 'when it begins') {
      const gid = this.#naming.name(name, this.#joinings, cold)
      return gid.then((named) => participant.join({ ...request, gid: named }))
    }
    if (cold === undefined) return participant.join(request)
    return over.unless(cold).then(() => participant.join(request))
  }

  /**
   * The mark, if `name` will decide as far as can be told now (see `settle`). If it turns out wrong,
   * because a third branch joins or one can't prepare, the mark is written anew in the end.
   */
  #firstClaim(name: string, participant: Participant): Mark | undefined {
    const { decider, txid } = this.#options
    if (this.#joinings.length < 2) return undefined
    const writers = this.#writers()
    const isDecider = name === (this.#naming.register ?? decider ?? writers[1]?.name)
    const others = writers.filter((joining) => joining.name !== name)
    if (writers.length < 2 || !isDecider) return undefined
    if (others.some(({ joined }) => joined?.canPrepare === false)) return undefined
    const epoch = this.#naming.claims(participant.knownEpoch())
    if (epoch === undefined) return undefined
    const id = { app: this.#setting.app, register: name, epoch, txid }
    return { id, participants: [name, ...others.map((joining) => joining.name)] }
  }

  /**
   * @throws the user's own error as it is, when everything was rolled back; AssentError otherwise
   */
  async execute<T>(work: () => Promise<T> | T): Promise<Committed<T>> {
    const { over } = this.#options
    if (over.isOver) throw over.reason
    let value: T
    try {
      value = await over.unless(Promise.resolve(work()))
      const missing = this.#naming.missingAmong(this.#writers())
      if (missing !== undefined) await over.unless(this.join(missing))
      if (!this.#sealIfQuiet()) await over.unless(this.#drainAndSeal())
    } catch (error) {
      throw await this.#rollBack({ kind: 'thrown', error })
    }
    if (this.#faults().length > 0) throw await this.#rollBack({ kind: 'fault' })
    const plan = this.#settle()
    if (plan instanceof AssentError) throw await this.#rollBack({ kind: 'thrown', error: plan })
    this.#plan = plan
    const id =
      plan.protocol === 'one-phase' ? await this.#commitAlone(plan) : await this.#commitAll(plan)
    return { value, id }
  }

  #settle(): Plan | AssentError {
    const { decider, reads, receipt } = this.#options
    const wish = this.#naming.register ?? decider
    const settled = settle(joinedOf(this.#branches(), reads), wish, receipt)
    if ('plan' in settled) return settled.plan
    return cannotPrepare(settled.refused, wish)
  }

  async #commitAlone(plan: OnePhasePlan): Promise<string> {
    const { txid } = this.#options
    const told = await this.#watched(commitOnePhase(plan, this.#commitment())).told
    const asked = { transactionId: txid, txid, isRetryable: this.#isRetryable }
    const error = onePhaseError(told, asked)
    if (error !== undefined) throw this.#unlessEscaped(error)
    return txid
  }

  async #commitAll(plan: TwoPhasePlan): Promise<string> {
    const { resolveWhen } = this.#options
    const id = this.#knownRegister(plan) ?? (await this.#register(plan))
    const told = await this.#watched(commitTwoPhase(plan, id, resolveWhen, this.#commitment())).told
    const error = twoPhaseError(told, id, this.#isRetryable)
    if (error !== undefined) throw this.#unlessEscaped(error)
    return formatTransactionId(id)
  }

  /**
   * Some systems notice only as a branch is undone that its transaction was not the one that was begun:
   * what was done in it may be durable, whatever it was undone for.
   */
  #unlessEscaped(error: AssentError): AssentError {
    if (error.outcome !== 'aborted') return error
    const escaped = this.#faults().find(isEscape)
    return escaped === undefined ? error : this.#faultError(escaped, error)
  }

  #commitment(): Commitment {
    const { world, recovery, meters, background } = this.#setting
    const branches = this.#branches()
    const ended = background()
    // Whatever happened, no connection outlives its transaction.
    const onFinished = (): void => {
      try {
        for (const branch of branches) branch.leave()
      } finally {
        ended()
      }
    }
    const { over, timeoutMs, traced } = this.#options
    const participant = (name: string): Participant => this.#participant(name)
    const tracer = traced?.tracer
    return { branches, participant, recovery, world, meters, over, timeoutMs, tracer, onFinished }
  }

  readonly #isRetryable = (name: string, error: unknown): boolean =>
    this.#setting.participants.get(name)?.isRetryable(error) ?? false

  /** From here on the machine is told of a late use; of one that came before, it is told now. */
  #watched<State>(running: Running<State>): Running<State> {
    this.#running = running
    if (this.#late !== undefined) running.object(this.#late, ended(this.#late))
    return running
  }

  /** Fixes the register: everything that must be true of the databases before the first vote. */
  async #register(plan: TwoPhasePlan): Promise<TransactionId> {
    const { over } = this.#options
    try {
      const names = [plan.decider, ...plan.voters]
      const ready = Promise.all(names.map((name) => this.#participant(name).readyToMark()))
      refuseSameDatabase(names, await over.unless(ready))
      const epoch =
        this.#knownEpoch(plan) ??
        (await over.unless(this.#participant(plan.decider).currentEpoch()))
      return this.#idIn(plan, epoch)
    } catch (error) {
      throw await this.#rollBack({ kind: 'thrown', error })
    }
  }

  /** The same, where all of it is known already. */
  #knownRegister(plan: TwoPhasePlan): TransactionId | undefined {
    const databases: string[] = []
    for (const name of [plan.decider, ...plan.voters]) {
      const site = this.#participant(name).knownSite()
      if (site === undefined || databases.includes(site.databaseId)) return undefined
      databases.push(site.databaseId)
    }
    const epoch = this.#knownEpoch(plan)
    return epoch === undefined ? undefined : this.#idIn(plan, epoch)
  }

  #idIn({ decider }: TwoPhasePlan, epoch: string): TransactionId {
    return { app: this.#setting.app, register: decider, epoch, txid: this.#options.txid }
  }

  /** The one that branches have named, or the decider has claimed with; or the present one. */
  #knownEpoch({ decider }: TwoPhasePlan): string | undefined {
    const joining = this.#joinings.find(({ name }) => name === decider)
    // One that wrote alone may have named another register: that one's epochs are not its own.
    const given = this.#naming.register === decider ? this.#naming.epoch : undefined
    const named = given ?? joining?.joined?.claimed?.id.epoch
    return named ?? this.#participant(decider).knownEpoch()
  }

  /**
   * Waits for every join and every statement that was begun, and for those begun meanwhile; then
   * ends the user's part. The last look and the sealing are one step, so that nothing can be begun
   * between them and belong to neither side.
   */
  async #drainAndSeal(): Promise<void> {
    while (!this.#sealIfQuiet()) {
      await Promise.allSettled(this.#joinings.map((joining) => joining.branch))
      await Promise.all(this.#branches().map((branch) => branch.drain()))
    }
  }

  #sealIfQuiet(): boolean {
    for (const { joined, failure } of this.#joinings) {
      if (!(joined?.isQuiet() ?? failure !== undefined)) return false
    }
    this.#seal()
    return true
  }

  #seal(): void {
    this.#stage = 'settled'
    for (const branch of this.#branches()) {
      branch.seal(() => {
        this.#objection(branch.name)
      })
    }
  }

  /** Some of the work came too late to be in the transaction: without it, nothing may commit. */
  #objection(name: string): void {
    this.#late ??= name
    this.#running?.object(name, ended(name))
  }

  /**
   * Ends everything before anything was marked, and says what to throw.
   *
   * @returns the error as it is; or an AssentError when a branch got out of hand
   */
  async #rollBack(
    because: { readonly kind: 'thrown'; readonly error: unknown } | { readonly kind: 'fault' },
  ): Promise<unknown> {
    const { over } = this.#options
    if (over.isOver) this.#cutAll()
    else await over.unless(this.#drainAndSeal()).catch(() => undefined)
    this.#seal()
    const faults = this.#faults()
    for (const joining of this.#joinings) void endLateJoin(joining)
    const ending = Promise.all(this.#branches().map((branch) => branch.end('abort', undefined)))
    await over.unless(ending).catch(() => {
      this.#cutAll()
    })
    const thrown = because.kind === 'thrown' ? because.error : undefined
    // Some systems notice only now that a branch's transaction is gone.
    const escaped = faults.find(isEscape) ?? this.#faults().find(isEscape)
    if (escaped !== undefined) return this.#faultError(escaped, thrown)
    const [fault] = faults
    if (because.kind === 'thrown' || fault === undefined) return thrown
    return this.#faultError(fault, undefined)
  }

  #cutAll(): void {
    for (const branch of this.#branches()) branch.cut()
  }

  #faultError(fault: BranchFault, error: unknown): AssentError {
    return new AssentError({
      code: fault.code,
      outcome: fault.outcome,
      retryable: fault.code === 'ASSENT_UNCLEAR' && mayPass(fault.cause),
      transactionId: this.#options.txid,
      message: `${fault.message}.`,
      cause: error ?? fault.cause,
    })
  }

  #faults(): readonly BranchFault[] {
    const faults: BranchFault[] = []
    for (const joining of this.#joinings) {
      const fault = faultOf(joining)
      if (fault !== undefined) faults.push(fault)
    }
    return faults
  }

  #branches(): readonly Branch[] {
    const branches: Branch[] = []
    for (const { joined } of this.#joinings) if (joined !== undefined) branches.push(joined)
    return branches
  }

  #writers(): readonly Joining[] {
    return this.#joinings.filter(({ name }) => !this.#options.reads.has(name))
  }

  #participant(name: string): Participant {
    const participant = this.#setting.participants.get(name)
    if (participant === undefined) throw new Error(`${name} is not configured`)
    return participant
  }
}

/** Some of a branch's work may be durable, whatever becomes of the transaction. */
function isEscape({ outcome }: BranchFault): boolean {
  return outcome === 'unknown'
}
