/**
 * One branch on MySQL or MariaDB: a pooled connection with an XA transaction open on it.
 *
 * Owns: each message of the commit path, and when the connection is given up.
 * Promises: every message is answered yes, no or unknown by the whitelist; each statement waits for the
 * answer to the one before it, so that nothing is on its way behind a mark that fails; a connection
 * goes back to its pool only when our last statement was answered and left it outside a transaction.
 *
 *              decider                          voter
 *   begin      XA START                         XA START
 *   claim      INSERT mark + XA END
 *   vote                                        INSERT mark + XA END; XA PREPARE
 *   decide     XA COMMIT … ONE PHASE, or
 *              XA PREPARE; XA COMMIT
 *   apply                                       XA COMMIT
 *
 * `;` is a message of its own. `+` is one message on MariaDB, two on MySQL (`messages.ts`).
 *
 * XA END succeeds only if this very transaction is open, and behind it no statement can change anything.
 * So a claim that is acknowledged is in the transaction that will be committed, with all of its work.
 *
 * With a binary log, XA COMMIT … ONE PHASE is not crash-safe (MariaDB 10.11 and 11.4, seen): its server
 * flushes no more than that the branch is prepared, and after a crash a commit that was acknowledged is
 * a prepared branch again, which the log's replicas have applied. So there the decider is prepared and
 * committed by itself: both are flushed, and in the log. A decider is prepared only when every vote is a
 * yes, so whoever finds one prepared commits it, as after a crash inside ONE PHASE.
 */
import { invariant } from '../../protocol/index.ts'
import type { Answer, AssentError, EndAnswer, Gid } from '../../protocol/index.ts'
import type { Branch, BranchFault, JoinRequest, Mark } from '../../ports/index.ts'
import {
  causeOf,
  isOfAnother,
  isRolledBack,
  mayBeOfEnd,
  mayNotBeWritten,
  readAnswer,
} from './answers.ts'
import type { Message } from './answers.ts'
import type { Reply } from './driver.ts'
import { Guard } from './guard.ts'
import { giveBack } from './lending.ts'
import type { Lent } from './lending.ts'
import { joined } from './messages.ts'
import { notDurable, notTheSame, staleEpoch } from './mark-errors.ts'
import { claimSql, receiptSql } from './marks.ts'
import type { SchemaNames } from './schema.ts'
import { formatXid } from './xid.ts'
import type { Owner } from './xid.ts'

/** What the branches of one participant have in common. */
export interface MysqlBranchFacts {
  readonly name: string
  readonly names: SchemaNames
  /** SQL that says which server this is. @throws when it can't be told */
  readonly present: () => Promise<string>
  /** Ends a prepared branch from another connection. */
  readonly endElsewhere: (gid: Gid, decision: 'commit' | 'abort') => Promise<EndAnswer>
  /** Ends the session of a connection that was cut while it was at work. Never rejects. */
  readonly endSession: (owner: Owner) => Promise<void>
  /** The claim was refused for its epoch, or for what the server is set to. */
  readonly onStaleEpoch: () => void
  /** Removes a mark that became durable by itself. Never rejects. */
  readonly withdraw: (txid: string) => Promise<void>
}

/** Where the branch's transaction is, as far as this connection knows. */
type Stage =
  | 'open'
  /** XA END was acknowledged. */
  | 'ended'
  | 'prepared'
  | 'over'
  | 'unclear'

export class MysqlBranch implements Branch {
  readonly name: string
  readonly canPrepare = true
  /** The claim can't go along with a first statement: XA START is a statement of its own. */
  readonly claimed = undefined
  readonly #facts: MysqlBranchFacts
  readonly #access: 'read' | 'write'
  /**
   * With a binary log, what comes back prepared after a crash is what the log's replicas have: it must be
   * committed, and whoever finds it would ask the register that it names.
   */
  readonly mayCommitAlone: boolean
  /** For the handle and for tests, like `run`. */
  readonly lent: Lent
  readonly #guard: Guard
  #stage: Stage = 'open'
  #holding: 'held' | 'given up' = 'held'
  /** Its transaction was found to be gone from its session. */
  #hasLeft = false
  #underWay = 0

  constructor(facts: MysqlBranchFacts, { access, gid }: JoinRequest, lent: Lent) {
    this.name = facts.name
    this.mayCommitAlone =
      lent.server.binlog === 'off' || gid === undefined || gid.register === facts.name
    this.#facts = facts
    this.#access = access
    this.lent = lent
    this.#guard = new Guard(facts.name)
  }

  /** A method of the driver's connection, with the user's own arguments. */
  run(method: string, args: readonly unknown[]): Promise<unknown> {
    return this.#guard.run(args[0], () => this.lent.link.run(method, args))
  }

  drain(): Promise<void> {
    return this.#guard.drain()
  }

  isQuiet(): boolean {
    return this.#guard.isQuiet()
  }

  seal(onLateUse?: () => void): void {
    this.#guard.seal(onLateUse)
  }

  fault(): BranchFault | undefined {
    if (!this.#hasLeft) return this.#guard.fault()
    const { message } = notTheSame(this.name)
    return {
      code: 'ASSENT_TRANSACTION_CONTROL',
      outcome: 'unknown',
      message,
      cause: this.#guard.fault()?.cause,
    }
  }

  async claim(mark: Mark): Promise<Answer> {
    let present: string
    try {
      present = await this.#facts.present()
    } catch (cause) {
      return { answer: 'no', cause }
    }
    const { names } = this.#facts
    const claimed = await this.#mark(claimSql(names, mark, present, this.lent.server))
    const { reply, answer, of } = claimed
    if (mayNotBeWritten(reply)) {
      return this.#notWritten(staleEpoch(this.name, mark.id.epoch))
    }
    if (of === 'mark') return this.#explained(claimed)
    return reply.kind === 'refused' ? this.#notEnded(reply, answer, mark) : answer
  }

  async vote(mark: Mark, gid: Gid): Promise<Answer> {
    const { names } = this.#facts
    // Whoever finds it prepared asks the register that it named as it began.
    const isNamed = formatXid(gid, this.lent.server.owner) === this.lent.xid
    invariant(isNamed, `${this.name} is to vote under another id than it began with`)
    const receipt = await this.#mark(receiptSql(names, mark, this.lent.server))
    if (mayNotBeWritten(receipt.reply)) return this.#notWritten(notDurable(this.name))
    if (receipt.of === 'mark') return this.#explained(receipt)
    if (isOfAnother(receipt.reply)) {
      return this.#notEnded(receipt.reply, receipt.answer, mark)
    }
    if (receipt.answer.answer !== 'yes') return receipt.answer
    const { answer } = await this.#send(`XA PREPARE ${this.#xid}`, 'decides')
    this.#stage = answer.answer === 'yes' ? 'prepared' : 'unclear'
    return answer
  }

  /** The mark, and behind it XA END. */
  async #mark(insert: string): Promise<Marked> {
    if (this.lent.statements === 'single') {
      const marked = await this.#send(insert, 'mark')
      if (marked.answer.answer !== 'yes') return { ...marked, of: 'mark' }
      return { ...(await this.#endWork()), of: 'end' }
    }
    const both = await this.#send(joined([insert, `XA END ${this.#xid}`]), 'mark and end')
    if (both.reply.kind === 'answered') this.#stage = 'ended'
    const isOfEnd = both.answer.answer === 'yes' || mayBeOfEnd(both.reply)
    return { ...both, of: isOfEnd ? 'end' : 'mark' }
  }

  /** Why there is no mark. */
  #explained({ reply, answer }: Sent): Answer {
    // Its key is taken, or awaited: is this server configured twice? So it is looked at anew.
    const isTaken = reply.kind === 'refused' && [1062, 1205].includes(reply.error.errno)
    if (isTaken) this.#facts.onStaleEpoch()
    return answer
  }

  /**
   * The mark may not be written. On MariaDB also because no transaction is open: then what the user's
   * statements did is durable by itself, and nobody may be told that it was aborted.
   */
  async #notWritten(cause: AssentError): Promise<Answer> {
    this.#facts.onStaleEpoch()
    const ended = await this.#endWork()
    return isOfAnother(ended.reply) ? this.#left() : { answer: 'no', cause }
  }

  /**
   * Another transaction is open than the one that was begun, or none: a proxy has gone on with another
   * session, for one. What the user's statements did there is durable by itself, or not; nobody can tell.
   */
  #left(): Answer {
    this.#hasLeft = true
    this.#giveUp('destroy')
    return { answer: 'no', cause: notTheSame(this.name) }
  }

  /**
   * XA END was refused behind the mark. Unless the server has rolled the branch back, another transaction is
   * open than the one that was begun, or none: then the mark may be durable by itself (MySQL can't be asked
   * that), and so may what the user's statements did.
   */
  async #notEnded(reply: Reply, answer: Answer, mark: Mark): Promise<Answer> {
    this.#giveUp('destroy')
    await this.#facts.withdraw(mark.id.txid)
    return isOfAnother(reply) ? this.#left() : answer
  }

  /** XA END: the work is complete, and nothing can be added to it. */
  async #endWork(): Promise<Sent> {
    const ended = await this.#send(`XA END ${this.#xid}`, 'end')
    if (ended.answer.answer === 'yes') this.#stage = 'ended'
    return ended
  }

  async commit(): Promise<Answer> {
    if (this.#stage === 'open') {
      const { answer, reply } = await this.#endWork()
      if (isOfAnother(reply)) return this.#left()
      if (answer.answer !== 'yes') return answer
    }
    const isCrashSafe = this.lent.server.binlog === 'off' || this.#access === 'read'
    if (isCrashSafe) return this.#decide(`XA COMMIT ${this.#xid} ONE PHASE`)
    const prepared = await this.#send(`XA PREPARE ${this.#xid}`, 'decides')
    if (prepared.answer.answer === 'yes') return this.#decide(`XA COMMIT ${this.#xid}`)
    return this.#unclear(prepared.answer)
  }

  async #decide(text: string): Promise<Answer> {
    const { answer } = await this.#send(text, 'decides')
    if (answer.answer !== 'yes') return this.#unclear(answer)
    this.#stage = 'over'
    this.#giveUp('return')
    return answer
  }

  /** What became of it, its register is asked; which has to wait as long as this connection has it. */
  #unclear(answer: Answer): Answer {
    this.#stage = 'unclear'
    this.#endSession()
    return answer
  }

  /** For whoever is to end the branch from elsewhere. What runs in it may still come to its end. */
  #endSession(): void {
    if (this.#holding === 'given up') return
    this.#giveUp('destroy')
    void this.#facts.endSession(this.lent.server.owner)
  }

  async end(decision: 'commit' | 'abort', gid: Gid | undefined): Promise<EndAnswer> {
    if (this.#stage === 'prepared') return this.#endPrepared(decision, gid)
    if (decision === 'commit') return { answer: 'unknown', cause: new Error('it is not prepared') }
    return this.#rollBack(gid)
  }

  async #endPrepared(decision: 'commit' | 'abort', gid: Gid | undefined): Promise<EndAnswer> {
    if (this.#holding === 'held') {
      const verb = decision === 'commit' ? 'COMMIT' : 'ROLLBACK'
      const { reply, answer } = await this.#send(`XA ${verb} ${this.#xid}`, 'decides')
      if (answer.answer === 'yes') {
        this.#stage = 'over'
        this.#giveUp('return')
        return { answer: 'done' }
      }
      this.#endSession()
      if (gid === undefined) return { answer: 'unknown', cause: causeOf(reply) }
    }
    // Its connection is gone, or going: from another one it can be ended.
    return gid === undefined
      ? { answer: 'unknown', cause: new Error('its connection is gone') }
      : this.#facts.endElsewhere(gid, decision)
  }

  /** Nothing durable can come of it: it was not prepared, or nobody knows whether it was. */
  async #rollBack(gid: Gid | undefined): Promise<EndAnswer> {
    if (this.#stage === 'over') return { answer: 'done' }
    if (this.#stage === 'unclear' || this.#holding === 'given up') return this.#abandon(gid)
    // After a deadlock XA END is refused, and XA ROLLBACK is what is left.
    if (this.#stage === 'open') {
      const ended = await this.#send(`XA END ${this.#xid}`, 'end')
      if (isOfAnother(ended.reply)) {
        this.#left()
        return { answer: 'done' }
      }
    }
    const rolledBack = await this.#send(`XA ROLLBACK ${this.#xid}`, 'decides')
    const isOver = rolledBack.answer.answer === 'yes' || isRolledBack(rolledBack.reply)
    this.#stage = isOver ? 'over' : 'unclear'
    this.#giveUp(this.#stage === 'over' ? 'return' : 'destroy')
    // What was never prepared goes with its connection.
    return { answer: 'done' }
  }

  /** The answer to XA PREPARE or to a COMMIT was lost: whether anything is left, recovery finds out. */
  #abandon(gid: Gid | undefined): EndAnswer {
    this.#endSession()
    if (gid === undefined) return { answer: 'done' }
    return { answer: 'unknown', cause: new Error('whether it is prepared is not known') }
  }

  leave(): void {
    this.#giveUp(this.#stage === 'over' ? 'return' : 'destroy')
  }

  cut(): void {
    // Once given back it may be another transaction's.
    if (this.#holding === 'given up') return
    // The server notices a vanished client only between two statements, and one may wait long for a lock.
    if (this.#underWay > 0 || !this.#guard.isQuiet()) this.#endSession()
    else this.#giveUp('destroy')
  }

  /** Back to the pool, or destroyed: one that may be inside a transaction is never used again. */
  #giveUp(how: 'return' | 'destroy'): void {
    if (this.#holding === 'given up') return
    this.#holding = 'given up'
    if (how === 'return') giveBack(this.lent)
    else this.lent.link.cut()
  }

  get #xid(): string {
    return this.lent.xid
  }

  /** One statement of ours, with its answer. Never rejects. */
  async #send(text: string, message: Message): Promise<Sent> {
    this.#underWay += 1
    const reply = await this.lent.link.send(text)
    this.#underWay -= 1
    if (reply.kind === 'lost') this.#stage = 'unclear'
    return { reply, answer: readAnswer(reply, message) }
  }
}

interface Sent {
  readonly reply: Reply
  readonly answer: Answer
}

/** What became of a mark with its XA END. */
interface Marked extends Sent {
  /** Which of the two it is the answer to: `mark` if it surely is that one's, and XA END did not run. */
  readonly of: 'mark' | 'end'
}
