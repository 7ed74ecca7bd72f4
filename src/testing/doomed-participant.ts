/**
 * A participant, and its branches, of a process that dies.
 *
 * Promises: is what it is made of, until the process is dead; then nothing of it reaches a database.
 */
import type { Answer, AskAnswer, EndAnswer, Gid } from '../protocol/index.ts'
import type {
  Branch,
  BranchFault,
  ByHand,
  Examination,
  JoinRequest,
  Mark,
  MarkSite,
  Memory,
  Participant,
  PreparedList,
  Question,
} from '../ports/index.ts'
import type { Doom } from './crashing.ts'

type Step = 'claim' | 'vote' | 'decide' | 'apply'

export class DoomedParticipant implements Participant {
  readonly name: string
  readonly system: string
  readonly namesRegister: Participant['namesRegister']
  readonly #participant: Participant
  readonly #doom: Doom

  constructor(participant: Participant, doom: Doom) {
    this.name = participant.name
    this.system = participant.system
    this.namesRegister = participant.namesRegister
    this.#participant = participant
    this.#doom = doom
  }

  async join(request: JoinRequest): Promise<Branch> {
    const branch = await this.#alive(() => this.#participant.join(request))
    const doomed = new DoomedBranch(branch, request.access, this.#doom)
    if (this.#doom.error === undefined) return doomed
    // It came when the process was dead already.
    branch.cut()
    branch.leave()
    throw this.#doom.error
  }

  /** Whoever holds a handle knows the branch that its own system made. */
  handle(join: () => Promise<Branch>): unknown {
    return this.#participant.handle(async () => {
      const joined = await join()
      return joined instanceof DoomedBranch ? joined.branch : joined
    })
  }

  readyToMark(): Promise<MarkSite> {
    return this.#alive(() => this.#participant.readyToMark())
  }

  knownSite(): MarkSite | undefined {
    return this.#participant.knownSite()
  }

  currentEpoch(): Promise<string> {
    return this.#alive(() => this.#participant.currentEpoch())
  }

  knownEpoch(): string | undefined {
    return this.#participant.knownEpoch()
  }

  forgetEpoch(): void {
    this.#participant.forgetEpoch()
  }

  ask(question: Question): Promise<AskAnswer> {
    return this.#or({ answer: 'unknown', cause: this.#doom.error }, () =>
      this.#participant.ask(question),
    )
  }

  lookUp(txid: string): Promise<'committed' | 'not-found' | 'unclear'> {
    return this.#or('unclear', () => this.#participant.lookUp(txid))
  }

  get memory(): Memory {
    return this.#doom.error === undefined ? this.#participant.memory : nobodys(this.#doom.error)
  }

  /** A person is not the process that dies. */
  get byHand(): ByHand {
    return this.#participant.byHand
  }

  examine(): Promise<Examination> {
    return this.#alive(() => this.#participant.examine())
  }

  /** The dead see nothing, and complain about nothing. */
  listPrepared(): Promise<PreparedList> {
    return this.#or({ branches: [], processes: 1 }, () => this.#participant.listPrepared())
  }

  endPrepared(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer> {
    return this.#or({ answer: 'unknown', cause: this.#doom.error }, () =>
      this.#participant.endPrepared(gid, decision),
    )
  }

  isRetryable(error: unknown): boolean {
    return this.#participant.isRetryable(error)
  }

  restored(options: { readonly print: boolean }): Promise<string> {
    return this.#alive(() => this.#participant.restored(options))
  }

  migrate(options: { readonly print: boolean }): Promise<string> {
    return this.#alive(() => this.#participant.migrate(options))
  }

  close(): Promise<void> {
    return this.#participant.close()
  }

  #alive<T>(work: () => Promise<T>): Promise<T> {
    return this.#doom.error === undefined ? work() : Promise.reject(this.#doom.error)
  }

  #or<T>(dead: T, work: () => Promise<T>): Promise<T> {
    return this.#doom.error === undefined ? work() : Promise.resolve(dead)
  }
}

export class DoomedBranch implements Branch {
  readonly name: string
  readonly canPrepare: boolean
  readonly mayCommitAlone: boolean
  readonly branch: Branch
  readonly #access: 'read' | 'write'
  readonly #doom: Doom
  readonly #callOff: () => void

  constructor(branch: Branch, access: 'read' | 'write', doom: Doom) {
    this.name = branch.name
    this.canPrepare = branch.canPrepare
    this.mayCommitAlone = branch.mayCommitAlone
    this.branch = branch
    this.#access = access
    this.#doom = doom
    this.#callOff = doom.whenDead(() => {
      branch.cut()
    })
  }

  get claimed(): Mark | undefined {
    return this.branch.claimed
  }

  drain(): Promise<void> {
    return this.branch.drain()
  }

  isQuiet(): boolean {
    return this.branch.isQuiet()
  }

  seal(onLateUse?: () => void): void {
    this.branch.seal(onLateUse)
  }

  fault(): BranchFault | undefined {
    return this.branch.fault()
  }

  claim(mark: Mark): Promise<Answer> {
    this.#doom.learn(mark)
    return this.#step('claim', () => this.branch.claim(mark))
  }

  vote(mark: Mark, gid: Gid): Promise<Answer> {
    this.#doom.learn(mark)
    return this.#step('vote', () => this.branch.vote(mark, gid))
  }

  commit(): Promise<Answer> {
    const step = this.#access === 'read' ? undefined : 'decide'
    return this.#step(step, () => this.branch.commit())
  }

  end(decision: 'commit' | 'abort', gid: Gid | undefined): Promise<EndAnswer> {
    const step = decision === 'commit' ? 'apply' : undefined
    // Whoever rolls back expects that this gives the connection up.
    if (this.#doom.error !== undefined) this.leave()
    return this.#step(step, () => this.branch.end(decision, gid))
  }

  /** Its connection goes to the pool's care: to be destroyed, where it was cut. */
  leave(): void {
    this.#callOff()
    this.branch.leave()
  }

  cut(): void {
    this.branch.cut()
  }

  /** A message is sent by the living only, and an answer heard by them. */
  async #step<A extends Answer | EndAnswer>(
    step: Step | undefined,
    send: () => Promise<A>,
  ): Promise<A> {
    if (step !== undefined) this.#doom.pass(`before ${step}`, this.name)
    if (this.#doom.error !== undefined) throw this.#doom.error
    const answer = await send()
    const isDone = answer.answer === 'yes' || answer.answer === 'done'
    if (step !== undefined && isDone) this.#doom.pass(`after ${step}`, this.name)
    // Typed as a call, since it may have changed while the answer was on its way.
    throwIfDead(this.#doom)
    return answer
  }
}

function throwIfDead({ error }: Doom): void {
  if (error !== undefined) throw error
}

/** Nothing is forgotten by the dead. */
function nobodys(error: Error): Memory {
  const refuse = (): Promise<never> => Promise.reject(error)
  return {
    hasMarks: () => Promise.resolve(false),
    renew: refuse,
    superseded: refuse,
    unlist: refuse,
    decisions: refuse,
    receipts: refuse,
    present: refuse,
    applied: refuse,
    settle: refuse,
    forgetReceipts: refuse,
    forgetDecisions: refuse,
  }
}
