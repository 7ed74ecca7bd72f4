/**
 * One branch on PostgreSQL: a pooled connection with an open transaction on it.
 *
 * Owns: each message of the commit path, and when the connection is given up.
 * Promises: every message is answered yes, no or unknown by the whitelist; a connection goes back to
 * its pool only when our last message was answered and left it outside a transaction.
 * Never: sends COMMIT or PREPARE on a connection that may have left its transaction.
 */
import { formatGid } from '../../protocol/index.ts'
import type { Answer, EndAnswer, Gid } from '../../protocol/index.ts'
import { AssentError } from '../../protocol/index.ts'
import type { Branch, BranchFault, JoinRequest, Mark, World } from '../../ports/index.ts'
import { readAnswer, readEnd } from './answers.ts'
import { IDLE_MARGIN_MS } from './begin.ts'
import type { BranchSession } from './branch-session.ts'
import type { PgClient } from './driver.ts'
import type { GuardedConnection } from './guarded-connection.ts'
import {
  PORTAL,
  PROVE_AGAIN,
  claimMessage,
  commitAloneMessage,
  decideMessage,
  endStatement,
  securedMessage,
  voteMessage,
} from './mark.ts'
import type {
  DeciderClaim,
  EndMessage,
  FirstClaim,
  Footing,
  MarkFacts,
  MarkMessage,
  Replication,
} from './mark.ts'
import { notAllowed, notTheSame, staleEpoch, tablesGone } from './mark-errors.ts'
import { NOTHING, send } from './message.ts'
import type { Reply } from './message.ts'
import type { SchemaNames } from './schema.ts'

/** What the branches of one participant have in common. */
export interface PgBranchFacts {
  readonly name: string
  readonly names: SchemaNames
  readonly world: World
  readonly replication: () => Replication
  /** Ends a prepared branch from another connection. */
  readonly endElsewhere: (gid: Gid, decision: 'commit' | 'abort') => Promise<EndAnswer>
  /** Whether COMMIT may have constraints or triggers to run that were deferred. */
  readonly hasDeferred: () => boolean
  /** Removes a claim that became durable by itself. Never rejects. */
  readonly withdraw: (txid: string) => Promise<void>
  /** The claim named an epoch that the register does not list for this server. */
  readonly onStaleEpoch: () => void
  /** A mark could not be written, because its table is not what was checked. */
  readonly onTablesGone: () => void
}

/** So long a decider is taken to be there, and the others are asked to prepare. */
const HEARD_WITHIN_MS = 250

/** Where the branch's transaction is, as far as this connection knows. */
type Stage = 'open' | 'prepared' | 'over' | 'unclear'

export class PgBranch implements Branch {
  readonly name: string
  readonly canPrepare: boolean
  readonly mayCommitAlone = true
  readonly #facts: PgBranchFacts
  readonly #request: JoinRequest
  readonly #session: BranchSession
  #stage: Stage = 'open'
  /** How much of what must be true of the COMMIT the decider was asked for beforehand. */
  #claim: 'none' | DeciderClaim = 'none'
  /** Before anybody was asked for a vote, it was found that the transaction had been ended. */
  #isLeft = false
  #stopPassing: (() => void) | undefined

  constructor(facts: PgBranchFacts, request: JoinRequest, session: BranchSession) {
    this.name = facts.name
    this.canPrepare = session.lent.connection.canPrepare
    this.#facts = facts
    this.#request = request
    this.#session = session
  }

  get claimed(): Mark | undefined {
    return this.#session.claimed?.mark
  }

  /** For the handle only, like `query`. */
  get client(): PgClient {
    return this.#session.lent.client
  }

  /** Passes events of the connection on, as long as the branch has it. */
  passOn(events: readonly string[], pass: (event: string, message: unknown) => void): void {
    this.#session.onLend(({ client }) => {
      this.#stopPassing?.()
      const stops = events.map((event) => {
        const listener = (message: never): void => {
          pass(event, message)
        }
        client.connection.on(event, listener)
        return () => client.connection.removeListener(event, listener)
      })
      this.#stopPassing = () => {
        for (const stop of stops) stop()
      }
    })
  }

  query(args: readonly unknown[]): unknown {
    return this.#session.query(args)
  }

  /** BEGIN, for whoever expects to be connected before his first statement. */
  async connect(): Promise<void> {
    const failure = await this.#session.ensureOpen()
    if (failure !== undefined) throw failure
  }

  drain(): Promise<void> {
    return this.#session.drain()
  }

  isQuiet(): boolean {
    return this.#session.isQuiet()
  }

  seal(onLateUse?: () => void): void {
    this.#guard.seal(onLateUse)
  }

  fault(): BranchFault | undefined {
    return this.#session.fault()
  }

  claim(mark: Mark): Promise<Answer> {
    if (this.#session.isOpen) return this.#claimInside(mark)
    return this.#refusalToBegin().then((refusal) => refusal ?? this.#claimInside(mark))
  }

  #claimInside(mark: Mark): Promise<Answer> {
    const first = this.#session.claimed
    if (first !== undefined && isSame(first.mark, mark)) return this.#secure(first)
    return this.#secureBy(claimMessage(this.#markFacts(mark), this.#shorterIdleMs()), mark)
  }

  /**
   * A claim that went along with the first statement needs no other message, as a rule: what must be
   * true of the COMMIT can be seen to in its own. It is asked beforehand where others would prepare
   * in vain, or where COMMIT itself would have to wait for long, so that nobody could tell its outcome;
   * and where somebody may have ended the transaction:
   *
   *   1. the claim travels, and is acknowledged
   *   2. a function ends the transaction by a COMMIT that no tag shows, and begins another one: the
   *      claim is durable, and says `commit`
   *   3. the others prepare; the COMMIT is stopped for want of the proof, and this process is killed
   *   4. recovery obeys the claim: what the function's caller did behind 2 is missing
   *
   * So nobody is asked to prepare behind 2, where the server has reported it (see `WATCH`).
   */
  #secure(first: FirstClaim): Promise<Answer> {
    this.#claim = 'unsecured'
    const idleMs = this.#shorterIdleMs()
    const { guard } = this.#session.lent
    const isFresh = this.#facts.world.now() - guard.heardAt <= HEARD_WITHIN_MS
    const isThere = guard.marks === 'untouched'
    const isSafe = isFresh && isThere && guard.isUnchanged() && idleMs === undefined
    if (isSafe && !this.#facts.hasDeferred()) return Promise.resolve({ answer: 'yes' })
    return this.#secureBy(securedMessage(this.#markFacts(first.mark), first, idleMs), first.mark)
  }

  /** Sends a message that runs what was deferred, and leaves the transaction open. */
  async #secureBy(message: MarkMessage, mark: Mark): Promise<Answer> {
    const first = this.#session.claimed
    const guard = this.#guard
    const wasUnchanged = guard.isUnchanged()
    const reply = await send(this.client, message.own, message.fixed)
    const answer = readAnswer(reply, message.expected)
    this.#stage = stageAfter(reply, answer, 'open')
    if (reply.kind === 'answered' && reply.error === undefined) {
      if (reply.status === 'I') return this.#left()
      const isHeard = guard.isUnchanged()
      const again: Answer = isHeard ? { answer: 'yes' } : await this.#proveAgain()
      if (again.answer !== 'yes') return again
      if (answer.answer === 'yes') this.#claim = isHeard ? 'secured' : 'proven'
      if (reply.tags.at(-1) === 'INSERT 0 0') {
        this.#facts.onStaleEpoch()
        return { answer: 'no', cause: staleEpoch(this.name, mark.id.epoch) }
      }
    }
    const explained = this.#explained(answer, reply, message.markAt)
    // Its answer is what would have told a COMMIT, of the claim as well, from nothing at all.
    const isDoubtful = first !== undefined && !wasUnchanged
    if (isDoubtful && explained.answer === 'unknown') return this.#left()
    this.#isLeft = hasLeft(explained)
    return explained
  }

  /** Whether the transaction is still there, where nothing was heard of it (see `PROVE_AGAIN`). */
  async #proveAgain(): Promise<Answer> {
    const { fixed, expected } = PROVE_AGAIN
    const reply = await send(this.client, NOTHING, fixed)
    const answer = readAnswer(reply, expected)
    this.#stage = stageAfter(reply, answer, 'open')
    const explained = this.#explained(answer, reply, undefined)
    return explained.answer === 'unknown' || hasLeft(explained) ? this.#left() : explained
  }

  /** What became of its work, nobody can tell; nobody was asked to prepare. */
  #left(): Answer {
    this.#isLeft = true
    return { answer: 'no', cause: notTheSame(this.name) }
  }

  async vote(mark: Mark, gid: Gid): Promise<Answer> {
    const refusal = this.#session.isOpen ? undefined : await this.#refusalToBegin()
    if (refusal !== undefined) return refusal
    const { fixed, own, expected, markAt } = voteMessage(this.#markFacts(mark), formatGid(gid))
    const reply = await send(this.client, own, fixed)
    const answer = readAnswer(reply, expected)
    this.#stage = stageAfter(reply, answer, 'prepared')
    const explained = this.#explained(answer, reply, markAt)
    // It may have claimed first, before another one had to decide.
    this.#isLeft = hasLeft(explained)
    return explained
  }

  async commit(): Promise<Answer> {
    const refusal = this.#session.isOpen ? undefined : await this.#refusalToBegin()
    if (refusal !== undefined) {
      this.#release()
      return refusal
    }
    const { fixed, expected } = this.#commitMessage()
    const reply = await send(this.client, NOTHING, fixed)
    const answer = readAnswer(reply, expected)
    this.#stage = stageAfter(reply, answer, 'over')
    if (this.#stage === 'open') await this.#rollBack()
    this.#release()
    return this.#explained(answer, reply, undefined)
  }

  async end(decision: 'commit' | 'abort', gid: Gid | undefined): Promise<EndAnswer> {
    // An unclear claim has no gid: what it may have left open ends with its connection.
    const isMaybePrepared = this.#stage === 'prepared' || this.#stage === 'unclear'
    if (isMaybePrepared && gid !== undefined) return this.#endPrepared(decision, gid)
    if (this.#stage === 'open') await this.#rollBack()
    // A COMMIT of the user's may have made it durable, and nobody was asked for a vote by it.
    const isUnwatched = this.#claim === 'none' && this.#guard.mode === 'maybe set'
    const mayBeDurable = this.fault()?.outcome === 'unknown' || isUnwatched
    if (this.#isLeft || (this.claimed !== undefined && mayBeDurable))
      await this.#facts.withdraw(this.#request.txid)
    this.#release()
    // Safe: COMMIT was never sent on this connection, so the server rolls back whatever is open.
    return { answer: 'done' }
  }

  leave(): void {
    this.#release()
  }

  cut(): void {
    this.#session.cut()
  }

  #markFacts(mark: Mark): MarkFacts {
    const { names } = this.#facts
    return { names, footing: this.#footing(), mark, before: this.#session.claimed }
  }

  #commitMessage(): EndMessage {
    const footing = this.#footing()
    return this.#claim === 'none'
      ? commitAloneMessage(footing)
      : decideMessage(this.#claim, footing)
  }

  #footing(): Footing {
    const replication = this.#facts.replication()
    const { connection, guard } = this.#session.lent
    const isKept = connection.session === 'plain' && guard.settings === 'kept'
    return replication === 'none' && isKept ? 'plain' : replication
  }

  /** `markAt`: where a mark was in the message, if one was. */
  #explained(answer: Answer, reply: Reply, markAt: number | undefined): Answer {
    if (answer.answer === 'yes' || reply.kind === 'lost' || reply.error === undefined) return answer
    const { code } = reply.error
    const at = reply.tags.length
    // No such portal: the proof is what comes first.
    if (at === 0 && code === '34000' && reply.error.message.includes(PORTAL)) {
      return { answer: answer.answer, cause: notTheSame(this.name) }
    }
    if (at !== markAt) return answer
    // Our own statement failed because of the database, and not of the transaction.
    if (['42P01', '3F000', '42703'].includes(code)) {
      this.#facts.onTablesGone()
      return { answer: 'no', cause: tablesGone(this.name) }
    }
    // A division by zero stops a mark whose claim is gone.
    if (code === '22012') return { answer: answer.answer, cause: notTheSame(this.name) }
    return code === '42501' ? { answer: 'no', cause: notAllowed(this.name) } : answer
  }

  get #guard(): GuardedConnection {
    return this.#session.lent.guard
  }

  /** A branch that was joined and never used has still to begin. */
  async #refusalToBegin(): Promise<Answer | undefined> {
    const failure = await this.#session.ensureOpen()
    if (failure === undefined) return undefined
    this.#stage = 'unclear'
    return { answer: 'no', cause: failure }
  }

  async #rollBack(): Promise<void> {
    const failure = await this.#session.settled()
    if (failure !== undefined || this.#session.isUntouched) {
      this.#stage = failure === undefined ? 'over' : 'unclear'
      return
    }
    const reply = await send(this.client, [{ text: 'ROLLBACK' }])
    const isOver = reply.kind === 'answered' && reply.status === 'I'
    this.#stage = isOver ? 'over' : 'unclear'
  }

  async #endPrepared(decision: 'commit' | 'abort', gid: Gid): Promise<EndAnswer> {
    if (this.#stage !== 'prepared' || !this.#isPlainSession()) {
      this.#release()
      return this.#facts.endElsewhere(gid, decision)
    }
    const reply = await send(this.client, [endStatement(formatGid(gid), decision)])
    this.#stage = reply.kind === 'answered' && reply.status === 'I' ? 'over' : 'unclear'
    this.#release()
    return readEnd(reply, decision)
  }

  /** The settings of a mark ended with PREPARE: what the session has by itself must do. */
  #isPlainSession(): boolean {
    const { connection, guard } = this.#session.lent
    return connection.session === 'plain' && guard.session === 'untouched'
  }

  /** An idle time-out for what is left of the transaction's time, where that is much less than all. */
  #shorterIdleMs(): number | undefined {
    const { deadline, timeoutMs } = this.#request
    const leftMs = deadline - this.#facts.world.now()
    const idleMs = Math.ceil(Math.max(leftMs, 0) + IDLE_MARGIN_MS)
    return idleMs < timeoutMs / 2 ? idleMs : undefined
  }

  /** Back to the pool, or destroyed: a connection that may be inside a transaction is never reused. */
  #release(): void {
    this.#stopPassing?.()
    this.#stopPassing = undefined
    const isClean = this.#stage === 'over' || this.#stage === 'prepared'
    this.#session.release(isClean ? 'return' : 'destroy')
  }
}

function stageAfter(reply: Reply, answer: Answer, onYes: Stage): Stage {
  if (answer.answer === 'yes') return onYes
  if (answer.answer === 'unknown' || reply.kind === 'lost') return 'unclear'
  return reply.status === 'I' ? 'over' : 'open'
}

/** Whether the branch is known to have left its transaction. */
function hasLeft(answer: Answer): boolean {
  if (answer.answer === 'yes') return false
  const { cause } = answer
  return cause instanceof AssentError && cause.code === 'ASSENT_TRANSACTION_CONTROL'
}

function isSame(one: Mark, other: Mark): boolean {
  const { id, participants } = one
  return (
    id.register === other.id.register &&
    id.epoch === other.id.epoch &&
    id.txid === other.id.txid &&
    participants.length === other.participants.length &&
    participants.every((name, at) => name === other.participants[at])
  )
}
