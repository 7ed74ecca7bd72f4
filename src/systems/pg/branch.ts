/**
 * One branch on PostgreSQL: a pooled connection with an open transaction on it.
 *
 * Owns: the connection from BEGIN to its release, and each message of the commit path.
 * Promises: every message is answered yes, no or unknown by the whitelist; a connection goes back to
 * its pool only when our last message was answered and left it outside a transaction.
 * Never: sends COMMIT or PREPARE on a connection that may have left its transaction.
 */
import { formatGid } from '../../protocol/index.ts'
import type { Answer, EndAnswer, Gid } from '../../protocol/index.ts'
import { AssentError } from '../../protocol/index.ts'
import type { Branch, BranchFault, JoinRequest, Mark, World } from '../../ports/index.ts'
import { CLAIMED, COMMITTED, COMMITTED_ALONE, PREPARED, readAnswer, readEnd } from './answers.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import type { PgClient } from './driver.ts'
import type { GuardedConnection } from './guarded-connection.ts'
import {
  COMMIT,
  claimStatements,
  commitStatements,
  endStatement,
  setNonce,
  voteStatements,
} from './mark.ts'
import { send } from './message.ts'
import type { Reply, Statement } from './message.ts'
import type { SchemaNames } from './schema.ts'

/** What a branch's idle time-outs add to the time that the transaction has left. */
const IDLE_MARGIN_MS = 5_000

export interface PgBranchFacts {
  readonly name: string
  readonly client: PgClient
  /** Gives the connection back to its pool, or destroys it. Called once. */
  readonly release: (how: 'return' | 'destroy') => void
  readonly connection: ConnectionFacts
  readonly guard: GuardedConnection
  readonly names: SchemaNames
  readonly world: World
  readonly nonce: string
  readonly deadline: number
  /** Ends a prepared branch from another connection. */
  readonly endElsewhere: (gid: Gid, decision: 'commit' | 'abort') => Promise<EndAnswer>
  /** The claim named an epoch that the register does not list for this server. */
  readonly onStaleEpoch: () => void
  /** A mark could not be written, because its table is not what was checked. */
  readonly onTablesGone: () => void
}

/** Where the branch's transaction is, as far as this connection knows. */
type Stage = 'open' | 'prepared' | 'over' | 'unclear'

export class PgBranch implements Branch {
  readonly name: string
  readonly canPrepare: boolean
  readonly #facts: PgBranchFacts
  #stage: Stage = 'open'
  #claim: 'none' | 'written' = 'none'
  #lent: 'held' | 'released' = 'held'
  readonly #onRelease: (() => void)[] = []

  constructor(facts: PgBranchFacts) {
    this.name = facts.name
    this.canPrepare = facts.connection.canPrepare
    this.#facts = facts
  }

  /** For the handle only, like `query`. */
  get client(): PgClient {
    return this.#facts.client
  }

  /** Passes events of the connection on, as long as the branch has it. */
  passOn(events: readonly string[], pass: (event: string, message: unknown) => void): void {
    const { connection } = this.#facts.client
    for (const event of events) {
      const name = event === 'notification' ? 'notificationResponse' : event
      const listener = (message: never): void => {
        pass(event, message)
      }
      connection.on(name, listener)
      this.#onRelease.push(() => connection.removeListener(name, listener))
    }
  }

  query(args: readonly unknown[]): unknown {
    return this.#facts.guard.query(args)
  }

  drain(): Promise<void> {
    return this.#facts.guard.drain()
  }

  isQuiet(): boolean {
    return this.#facts.guard.isQuiet()
  }

  seal(onLateUse?: () => void): void {
    this.#facts.guard.seal(onLateUse)
  }

  fault(): BranchFault | undefined {
    return this.#facts.guard.fault()
  }

  async claim(mark: Mark): Promise<Answer> {
    const { names, nonce, client } = this.#facts
    const reply = await send(client, claimStatements(names, mark, nonce, this.#idleMs()))
    const answer = readAnswer(reply, CLAIMED)
    this.#stage = stageAfter(reply, answer, 'open')
    if (answer.answer === 'yes') this.#claim = 'written'
    if (lacksTables(reply)) return this.#tablesGone()
    const foundNoEpoch = reply.kind === 'answered' && reply.tags.at(-1) === 'INSERT 0 0'
    if (answer.answer !== 'no' || !foundNoEpoch) return answer
    this.#facts.onStaleEpoch()
    return { answer: 'no', cause: staleEpoch(this.name, mark.id.epoch) }
  }

  async vote(mark: Mark, gid: Gid): Promise<Answer> {
    const { names, nonce, client } = this.#facts
    const statements = voteStatements(names, mark, formatGid(gid), nonce, this.#idleMs())
    const reply = await send(client, statements)
    const answer = readAnswer(reply, PREPARED)
    this.#stage = stageAfter(reply, answer, 'prepared')
    return lacksTables(reply) ? this.#tablesGone() : answer
  }

  async commit(): Promise<Answer> {
    const { client, nonce } = this.#facts
    // A claim has done before what a COMMIT by itself must do first.
    const isClaimed = this.#claim === 'written'
    const expected = isClaimed ? COMMITTED : COMMITTED_ALONE
    const reply = await send(client, isClaimed ? [COMMIT] : commitStatements(nonce))
    const answer = readAnswer(reply, expected)
    this.#stage = stageAfter(reply, answer, 'over')
    if (this.#stage === 'open') await this.#rollBack()
    this.#release()
    return answer
  }

  async end(decision: 'commit' | 'abort', gid: Gid | undefined): Promise<EndAnswer> {
    // An unclear claim has no gid: what it may have left open ends with its connection.
    const isMaybePrepared = this.#stage === 'prepared' || this.#stage === 'unclear'
    if (isMaybePrepared && gid !== undefined) return this.#endPrepared(decision, gid)
    if (this.#stage === 'open') await this.#rollBack()
    this.#release()
    // Safe: COMMIT was never sent on this connection, so the server rolls back whatever is open.
    return { answer: 'done' }
  }

  leave(): void {
    this.#release()
  }

  cut(): void {
    // Once given back it may be another transaction's.
    if (this.#lent === 'released') return
    this.#facts.client.connection.stream.destroy()
  }

  #tablesGone(): Answer {
    this.#facts.onTablesGone()
    return {
      answer: 'no',
      cause: new AssentError({
        code: 'ASSENT_SCHEMA_MISSING',
        outcome: 'aborted',
        retryable: true,
        message:
          `Assent's tables in ${this.name} are gone, or changed, since they were checked. The next ` +
          `transaction checks them anew, and creates them if it may`,
      }),
    }
  }

  async #rollBack(): Promise<void> {
    const reply = await send(this.#facts.client, [{ text: 'ROLLBACK' }])
    const isOver = reply.kind === 'answered' && reply.status === 'I'
    this.#stage = isOver ? 'over' : 'unclear'
  }

  async #endPrepared(decision: 'commit' | 'abort', gid: Gid): Promise<EndAnswer> {
    if (this.#stage !== 'prepared' || !this.#isPlainSession()) {
      this.#release()
      return this.#facts.endElsewhere(gid, decision)
    }
    const reply = await send(this.#facts.client, [endStatement(formatGid(gid), decision)])
    this.#stage = reply.kind === 'answered' && reply.status === 'I' ? 'over' : 'unclear'
    this.#release()
    return readEnd(reply, decision)
  }

  /** The settings of a mark ended with PREPARE: what the session has by itself must do. */
  #isPlainSession(): boolean {
    const { connection, guard } = this.#facts
    return connection.session === 'plain' && guard.session === 'untouched'
  }

  #idleMs(): number {
    const left = this.#facts.deadline - this.#facts.world.now()
    return Math.ceil(Math.max(left, 0) + IDLE_MARGIN_MS)
  }

  /** Back to the pool, or destroyed: a connection that may be inside a transaction is never reused. */
  #release(): void {
    if (this.#lent === 'released') return
    this.#lent = 'released'
    for (const clean of this.#onRelease) clean()
    this.#facts.release(this.#stage === 'over' || this.#stage === 'prepared' ? 'return' : 'destroy')
  }
}

function stageAfter(reply: Reply, answer: Answer, onYes: Stage): Stage {
  if (answer.answer === 'yes') return onYes
  if (answer.answer === 'unknown' || reply.kind === 'lost') return 'unclear'
  return reply.status === 'I' ? 'over' : 'open'
}

/** Our own INSERT, behind the two statements of the preamble, found no such table or column. */
function lacksTables(reply: Reply): boolean {
  if (reply.kind === 'lost' || reply.error === undefined || reply.tags.length !== 2) return false
  return ['42P01', '3F000', '42703'].includes(reply.error.code)
}

function staleEpoch(name: string, epoch: string): AssentError {
  return new AssentError({
    code: 'ASSENT_STALE_EPOCH',
    outcome: 'aborted',
    retryable: true,
    message:
      `${name} does not list epoch ${epoch} for its present server: it failed over, was restored, ` +
      `or has just opened another one. The next transaction names the new epoch.`,
  })
}

/**
 * The message that begins a branch. Only utility statements, so that no snapshot is taken before
 * the user's first statement (SET TRANSACTION and LOCK TABLE must still be able to come first).
 *
 * The time-outs make the server end the session of a client that vanished: while idle, while it
 * waits for the network, and (on Linux) while it runs a statement for nobody.
 */
export function beginStatements(
  request: JoinRequest,
  nonce: string,
  timeouts: ConnectionFacts['timeouts'],
): readonly Statement[] {
  const isolation = request.isolation?.toUpperCase()
  const begin = [
    'BEGIN',
    ...(isolation === undefined ? [] : [`ISOLATION LEVEL ${isolation}`]),
    ...(request.access === 'read' ? ['READ ONLY'] : []),
  ].join(' ')
  const idleMs = Math.ceil(request.timeoutMs + IDLE_MARGIN_MS)
  const probeSeconds = Math.max(1, Math.ceil(request.timeoutMs / 4_000))
  const settings: readonly (readonly [string, number])[] = [
    ['idle_in_transaction_session_timeout', idleMs],
    ['tcp_keepalives_idle', probeSeconds],
    ['tcp_keepalives_interval', probeSeconds],
    ['tcp_keepalives_count', 3],
    ...(timeouts === 'all'
      ? ([
          ['tcp_user_timeout', idleMs],
          ['client_connection_check_interval', 1_000],
        ] as const)
      : []),
  ]
  return [
    { text: begin },
    ...settings.map(([name, value]) => ({ text: `SET LOCAL ${name} = ${value}` })),
    setNonce(nonce),
  ]
}
