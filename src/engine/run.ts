/**
 * One transaction, from the user's function to the promise that it gets.
 *
 * Owns: joining lazily, settling the roles, and handing over to the machines.
 * Promises: whatever happens before the first mark, everything is rolled back; after it, the
 * machines and recovery own the ending. A statement that was not awaited is drained first.
 * Never: sends anything of the commit path itself.
 */
import {
  AssentError,
  NO_EPOCH,
  formatTransactionId,
  registerOf,
  settle,
} from '../protocol/index.ts'
import type {
  Gid,
  Joined,
  OnePhasePlan,
  Plan,
  TransactionId,
  TwoPhasePlan,
} from '../protocol/index.ts'
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
import { onePhaseError, twoPhaseError } from './outcome-error.ts'
import type { Recovery } from './recover.ts'
import type { Over } from './over.ts'
import { cannotPrepare, ended, mayPass, refuseSameDatabase } from './run-errors.ts'
import type { Warmth } from './warmth.ts'

export interface RunSetting {
  readonly app: string
  readonly participants: ReadonlyMap<string, Participant>
  readonly world: World
  readonly recovery: Recovery
  readonly warmth: Warmth
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
}

/** How a run ended, when it did not throw. */
export interface Committed<T> {
  readonly value: T
  readonly id: string
}

class Joining {
  readonly name: string
  /** Whoever waits for it finds `joined` or `failure` set already: they are set by its first waiter. */
  readonly branch: Promise<Branch>
  joined: Branch | undefined
  failure: { readonly error: unknown } | undefined

  constructor(name: string, branch: Promise<Branch>) {
    this.name = name
    this.branch = branch
    branch.then(
      (joined) => {
        this.joined = joined
      },
      (error: unknown) => {
        this.failure = { error }
      },
    )
  }
}

export class Run {
  readonly #setting: RunSetting
  readonly #options: RunOptions
  /** In the order of joining. */
  readonly #joinings: Joining[] = []
  #stage: 'working' | 'settled' = 'working'
  /** The register, once a branch has begun that had to name it: it never changes afterwards. */
  #named: Promise<string> | undefined
  #namedRegister: string | undefined
  /** The epoch that went along with it, or with a first claim: no mark may name another. */
  #namedEpoch: string | undefined
  #claimedEpoch: string | undefined
  #plan: Plan | undefined
  /** A participant that was used after the work had ended. */
  #late: string | undefined
  #running: Running<unknown> | undefined

  constructor(setting: RunSetting, options: RunOptions) {
    this.#setting = setting
    this.#options = options
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
    const joining = new Joining(name, this.#begin(name))
    this.#joinings.push(joining)
    return joining.branch
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
      const before = [...this.#joinings]
      this.#named ??= this.#nameRegister(name, before)
      return this.#beginNamed(participant, request, this.#named, cold)
    }
    if (cold === undefined) return participant.join(request)
    return over.unless(cold).then(() => participant.join(request))
  }

  /** Whoever would decide among those that have begun, as `settle` would have it. */
  async #nameRegister(name: string, before: readonly Joining[]): Promise<string> {
    // Whether one of them can prepare is known once it has joined; one that fails takes no part.
    await Promise.allSettled(before.map(({ branch }) => branch))
    const joined = this.#joined(before.flatMap((joining) => joining.joined ?? []))
    this.#namedRegister = registerOf(name, joined, this.#wish)
    return this.#namedRegister
  }

  /** A branch that names its register, and the register's epoch, with its first words. */
  async #beginNamed(
    participant: Participant,
    request: JoinRequest,
    named: Promise<string>,
    cold: Promise<void> | undefined,
  ): Promise<Branch> {
    const { over, txid } = this.#options
    if (cold !== undefined) await over.unless(cold)
    const register = await over.unless(named)
    const isOwn = register === participant.name
    const epoch = isOwn ? NO_EPOCH : await over.unless(this.#nameEpoch(register))
    const gid: Gid = { app: this.#setting.app, register, epoch, txid, branch: participant.name }
    return participant.join({ ...request, gid })
  }

  /** The epoch that all voters and the claim name: read once. */
  async #nameEpoch(register: string): Promise<string> {
    const epoch = this.#claimedEpoch ?? (await this.#participant(register).currentEpoch())
    this.#namedEpoch ??= epoch
    return this.#namedEpoch
  }

  /** The decider that was asked for; not a declared reader, as an app-wide wish may turn out. */
  get #wish(): string | undefined {
    const { decider, reads } = this.#options
    return decider !== undefined && reads.has(decider) ? undefined : decider
  }

  /**
   * The mark, if `name` will decide as far as can be told now (see `settle`). If it turns out wrong,
   * because a third branch joins or one can't prepare, the mark is written anew in the end.
   */
  #firstClaim(name: string, participant: Participant): Mark | undefined {
    const { reads, decider, txid } = this.#options
    if (this.#joinings.length < 2) return undefined
    const writers = this.#joinings.filter((joining) => !reads.has(joining.name))
    const register = this.#namedRegister ?? decider ?? writers[1]?.name
    const isDecider = writers.length > 1 && name === register
    const others = writers.filter((joining) => joining.name !== name)
    if (!isDecider || others.some(({ joined }) => joined?.canPrepare === false)) return undefined
    const epoch = this.#namedEpoch ?? participant.knownEpoch()
    if (epoch === undefined) return undefined
    this.#claimedEpoch = epoch
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
      if (this.#isRegisterMissing()) await over.unless(this.#joinRegister())
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

  /** Two or more wrote, and the register that one of them had to name is not among them. */
  #isRegisterMissing(): boolean {
    if (this.#named === undefined) return false
    const writers = this.#joinings.filter(({ name }) => !this.#options.reads.has(name))
    return writers.length > 1 && writers.every(({ name }) => name !== this.#namedRegister)
  }

  /** It joins for its claim alone. */
  async #joinRegister(): Promise<void> {
    if (this.#namedRegister !== undefined) await this.join(this.#namedRegister)
  }

  #joined(branches: readonly Branch[]): readonly Joined[] {
    const { reads } = this.#options
    return branches.map(({ name, canPrepare }) => ({
      name,
      access: reads.has(name) ? 'read' : 'write',
      canPrepare,
    }))
  }

  #settle(): Plan | AssentError {
    const wish = this.#namedRegister ?? this.#options.decider
    const settled = settle(this.#joined(this.#branches()), wish, this.#options.receipt)
    if ('plan' in settled) return settled.plan
    return cannotPrepare(settled.refused, wish)
  }

  async #commitAlone(plan: OnePhasePlan): Promise<string> {
    const { txid } = this.#options
    const told = await this.#watched(commitOnePhase(plan, this.#commitment())).told
    const asked = { transactionId: txid, txid, isRetryable: this.#isRetryable }
    const error = onePhaseError(told, asked)
    if (error !== undefined) throw error
    return txid
  }

  async #commitAll(plan: TwoPhasePlan): Promise<string> {
    const { resolveWhen } = this.#options
    const id = this.#knownRegister(plan) ?? (await this.#register(plan))
    const told = await this.#watched(commitTwoPhase(plan, id, resolveWhen, this.#commitment())).told
    const error = twoPhaseError(told, id, this.#isRetryable)
    if (error !== undefined) throw error
    return formatTransactionId(id)
  }

  #commitment(): Commitment {
    const { world, recovery, background } = this.#setting
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
    const { over, timeoutMs } = this.#options
    const participant = (name: string): Participant => this.#participant(name)
    return { branches, participant, recovery, world, over, timeoutMs, onFinished }
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
    const named = this.#namedEpoch ?? joining?.joined?.claimed?.id.epoch
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
    const escaped = faults.find((fault) => fault.outcome === 'unknown')
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

  #participant(name: string): Participant {
    const participant = this.#setting.participants.get(name)
    if (participant === undefined) throw new Error(`${name} is not configured`)
    return participant
  }
}

/** A participant that could not be had is missing from the work, like a statement that failed. */
function faultOf({ name, joined, failure }: Joining): BranchFault | undefined {
  if (failure === undefined) return joined?.fault()
  const { error } = failure
  return {
    code: 'ASSENT_UNCLEAR',
    outcome: 'aborted',
    message:
      `${name} could not take part, its error was caught, and the transaction went on: ` +
      (error instanceof Error ? error.message.replace(/\.$/, '') : String(error)),
    cause: error,
  }
}

/** A branch whose BEGIN is answered after its transaction has ended is rolled back then. */
async function endLateJoin(joining: Joining): Promise<void> {
  if (joining.joined !== undefined) return
  try {
    const branch = await joining.branch
    branch.seal(() => undefined)
    // Nobody waits for what its caller has sent in the meantime.
    branch.cut()
    await branch.end('abort', undefined)
  } catch {
    // It never joined.
  }
}
