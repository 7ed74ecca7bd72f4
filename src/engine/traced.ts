/**
 * Telling a tracer of what is said to a participant.
 *
 * Owns: which method of a port is which span, and what an answer tells of itself.
 * Promises: does what the participant does, and returns what it returns.
 * Never: exists while nobody listens. Whoever makes one has a tracer.
 */
import { AssentError } from '../protocol/index.ts'
import type { Answer, AskAnswer, EndAnswer, Gid, Outcome } from '../protocol/index.ts'
import type {
  Branch,
  BranchFault,
  Mark,
  Participant,
  Question,
  Settled,
  Tracer,
  TransactionSpan,
  VoteSpan,
} from '../ports/index.ts'
import { codeOf } from './report-events.ts'
import type { Committed, Run } from './run.ts'

export interface TracedFacts {
  readonly tracer: Tracer
  readonly app: string
  readonly txid: string
}

/** The branch of a participant, each of whose messages is a span. */
export class TracedBranch implements Branch {
  readonly name: string
  readonly #branch: Branch
  readonly #access: 'read' | 'write'
  readonly #facts: TracedFacts

  constructor(branch: Branch, access: 'read' | 'write', facts: TracedFacts) {
    this.name = branch.name
    this.#branch = branch
    this.#access = access
    this.#facts = facts
  }

  get canPrepare(): boolean {
    return this.#branch.canPrepare
  }

  get mayCommitAlone(): boolean {
    return this.#branch.mayCommitAlone
  }

  get claimed(): Mark | undefined {
    return this.#branch.claimed
  }

  drain(): Promise<void> {
    return this.#branch.drain()
  }

  isQuiet(): boolean {
    return this.#branch.isQuiet()
  }

  seal(onLateUse?: () => void): void {
    this.#branch.seal(onLateUse)
  }

  fault(): BranchFault | undefined {
    return this.#branch.fault()
  }

  claim(mark: Mark): Promise<Answer> {
    return this.#answer('claim', () => this.#branch.claim(mark))
  }

  vote(mark: Mark, gid: Gid): Promise<Answer> {
    return this.#answer('vote', () => this.#branch.vote(mark, gid))
  }

  /** A writer that commits decides: all the others prepare. */
  commit(): Promise<Answer> {
    const name = this.#access === 'read' ? 'commit-reader' : 'decide'
    return this.#answer(name, () => this.#branch.commit())
  }

  end(decision: 'commit' | 'abort', gid: Gid | undefined): Promise<EndAnswer> {
    const name = decision === 'commit' ? 'apply' : 'undo'
    const end = (): Promise<EndAnswer> => this.#branch.end(decision, gid)
    return this.#facts.tracer.trace(name, this.#message(), end, learnAnswer)
  }

  leave(): void {
    this.#branch.leave()
  }

  cut(): void {
    this.#branch.cut()
  }

  #answer(
    name: 'claim' | 'vote' | 'commit-reader' | 'decide',
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    return this.#facts.tracer.trace(name, this.#message(), work, learnAnswer)
  }

  #message(): VoteSpan & { answer?: never } {
    const { app, txid } = this.#facts
    return { app, txid, participant: this.name }
  }
}

/** One run of the user's function, whose outcome is what its caller is told. */
export function traceRun<T>(
  { tracer, app, txid }: TracedFacts,
  attempt: number,
  run: Run,
  execute: () => Promise<Committed<T>>,
): Promise<Committed<T>> {
  const span: TransactionSpan = { app, txid, attempt }
  return tracer.trace('transaction', span, execute, (context, settled) => {
    context.protocol = run.plan?.protocol ?? 'none'
    context.outcome = outcomeOf(settled)
    if (settled.kind === 'rejected') context.errorCode = codeOf(settled.error)
  })
}

/** An error of the user's own is rethrown as it is, and means aborted. */
export function outcomeOf(settled: Settled<unknown>): Outcome {
  if (settled.kind === 'resolved') return 'committed'
  return settled.error instanceof AssentError ? settled.error.outcome : 'aborted'
}

export function traceJoin<T>(
  { tracer, app, txid }: TracedFacts,
  participant: string,
  access: 'read' | 'write',
  join: () => Promise<T>,
): Promise<T> {
  return tracer.trace('join', { app, txid, participant, access }, join, learnError)
}

export function ask(
  tracer: Tracer | undefined,
  participant: Participant,
  question: Question,
): Promise<AskAnswer> {
  if (tracer === undefined) return participant.ask(question)
  const { app, txid } = question
  const span = { app, txid, participant: participant.name }
  return tracer.trace('ask', span, () => participant.ask(question), learnAnswer)
}

function learnAnswer<A extends string>(
  context: { answer?: A; errorCode?: string | undefined },
  settled: Settled<{ readonly answer: A; readonly cause?: unknown }>,
): void {
  if (settled.kind === 'rejected') {
    context.errorCode = codeOf(settled.error)
    return
  }
  const { answer, cause } = settled.value
  context.answer = answer
  if (cause !== undefined) context.errorCode = codeOf(cause)
}

function learnError(context: { errorCode?: string | undefined }, settled: Settled<unknown>): void {
  if (settled.kind === 'rejected') context.errorCode = codeOf(settled.error)
}
