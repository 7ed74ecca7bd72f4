/**
 * What a system must offer to take part: the contract of everything under `systems/`.
 *
 * Owns: the types of the seam between the engine and the outside.
 * Promises, to be kept by every system (`test/contract` holds each to it):
 *   - an answer is `yes` or `no` only when the system's whitelist has it; everything else, a broken
 *     connection and a surprise included, is `unknown`;
 *   - no method of a branch throws for an outside reason once it has joined: it answers;
 *   - a branch whose connection is in a state that we don't know never gives that connection back.
 * Never: knows of a plan, an order or another branch. That is the protocol's.
 */
import type { Answer, AskAnswer, EndAnswer, Gid, TransactionId } from '../protocol/index.ts'
import type { ByHand } from './by-hand.ts'
import type { Examination } from './examination.ts'
import type { Memory } from './memory.ts'
import type { Waiting, World } from './world.ts'

/** What `createAssent` gives to each system when it opens a participant. */
export interface ParticipantContext {
  readonly app: string
  /** The name under which the participant is configured. */
  readonly name: string
  readonly world: World
  /** How long marks are kept. An epoch must be read anew far more often. */
  readonly retentionMs: number
  /** Told how long each branch waited for a connection of the user's pool. */
  readonly onPoolWait?: (waitedMs: number) => void
}

/** What a system's function (`pg(pool)`) returns: a participant that has no name yet. */
export interface ParticipantDefinition<Handle> {
  /** `pg`, `mysql2`, … */
  readonly system: string
  /** Two participants with the same identity are the same pool, and refused. */
  readonly identity: object
  open(context: ParticipantContext): Participant<Handle>
}

export interface Participant<Handle = unknown> {
  readonly name: string
  readonly system: string
  /**
   * When a writing branch has to know the register that will decide: as it votes, where a prepared
   * branch is named by its PREPARE; as it begins, where it is named by its first words (XA START).
   */
  readonly namesRegister: 'when it votes' | 'when it begins'
  /**
   * Begins a branch. Waits for a connection at most until `request.waiting` is over.
   *
   * @throws AssentError with outcome `aborted`: nothing was begun.
   */
  join(request: JoinRequest): Promise<Branch>
  /** What users hold: calls `join` at the first statement, and hands every statement to the branch. */
  handle(join: () => Promise<Branch>): Handle
  /**
   * Makes sure that marks can be written here and would last, and creates the schema if it may.
   * Cheap once it has succeeded.
   *
   * @throws AssentError with outcome `aborted`, which says what to change.
   */
  readyToMark(): Promise<MarkSite>
  /** What `readyToMark` gave, as long as that stands. */
  knownSite(): MarkSite | undefined
  /** The epoch that new transactions decided here must name, durably read. Cheap when cached. */
  currentEpoch(): Promise<string>
  /** The same, where it is known already; then `readyToMark` has succeeded as well. */
  knownEpoch(): string | undefined
  /** Drops the cached epoch: a claim found it unlisted, or of another server. */
  forgetEpoch(): void
  /** *Ask* a mark here: insert an abort under the key, or read what is there (see `AskAnswer`). */
  ask(question: Question): Promise<AskAnswer>
  /** Whether a decision stands here for a txid whose register is not known. Never inserts. */
  lookUp(txid: string): Promise<'committed' | 'not-found' | 'unclear'>
  /** The marks and epochs here, for forgetting. */
  readonly memory: Memory
  /** What a person looks at, and decides. */
  readonly byHand: ByHand
  /** Everything prepared in this database, ours or not, from a connection reserved for recovery. */
  listPrepared(): Promise<PreparedList>
  /** Ends a prepared branch from a connection reserved for recovery. */
  endPrepared(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer>
  /** Whether an error that the user's function threw means "run the transaction again". */
  isRetryable(error: unknown): boolean
  /**
   * Takes every epoch off the list, because this database was restored; with `print` only returns
   * the SQL, for a restore job that runs before any process can reach the database.
   */
  restored(options: { readonly print: boolean }): Promise<string>
  /**
   * Everything that `readyToMark` checks, and what it costs; changes nothing but a counter of ours.
   *
   * @throws AssentError when no connection can be had
   */
  examine(): Promise<Examination>
  /** Creates the schema; with `print` only returns its SQL. */
  migrate(options: { readonly print: boolean }): Promise<string>
  /** Ends the connections reserved for recovery. The user's pool stays open. */
  close(): Promise<void>
}

export interface JoinRequest {
  readonly txid: string
  readonly access: 'read' | 'write'
  /** What a writing branch is to be prepared under, where it must say so as it begins. */
  readonly gid: Gid | undefined
  readonly isolation: Isolation | undefined
  /** On `World.now()`. */
  readonly deadline: number
  /** The most that this transaction may take; the server's idle time-outs derive from it. */
  readonly timeoutMs: number
  readonly waiting: Waiting
  /**
   * Asked once, when the branch is about to send its first statement and could send a claim along:
   * the mark to claim, if this is the branch that is to decide.
   */
  readonly firstClaim: () => Mark | undefined
}

/** How much a branch may see of what others commit meanwhile: SQL’s isolation levels. */
export type Isolation = 'read committed' | 'repeatable read' | 'serializable'

/** What a participant says of itself when it is ready to be marked. */
export interface MarkSite {
  /** Identifies the database, so that one configured twice is noticed before it is marked twice. */
  readonly databaseId: string
}

/** One branch of one transaction: a connection with an open transaction on it. */
export interface Branch {
  readonly name: string
  readonly canPrepare: boolean
  /**
   * Whether it may commit by itself if it is the only one that wrote. Not if it has named another
   * register, by which whoever finds it would end it.
   */
  readonly mayCommitAlone: boolean
  /** The mark whose claim went along with the first statement, and was acknowledged. */
  readonly claimed: Mark | undefined
  /** Waits until every statement that was begun has been answered. Never rejects. */
  drain(): Promise<void>
  /** Whether every statement that was begun has been answered, right now. */
  isQuiet(): boolean
  /** Refuses every later use of the handle, and tells of each. */
  seal(onLateUse?: () => void): void
  /**
   * Why the branch can't be committed, although the user's function returned: a swallowed error, a
   * COMMIT by the user, a lost connection. `undefined` when nothing is known against it.
   */
  fault(): BranchFault | undefined
  /** Writes the claim into the open transaction, unless that is `claimed`. */
  claim(mark: Mark): Promise<Answer>
  /** Writes the receipt and prepares, in one message. */
  vote(mark: Mark, gid: Gid): Promise<Answer>
  /** Commits the open transaction: a reader's, the only writer's, or the decider's. */
  commit(): Promise<Answer>
  /**
   * Ends the branch as decided: COMMIT PREPARED, or ROLLBACK PREPARED, or ROLLBACK if it is still
   * open. `done` for one that never got to anything durable.
   */
  end(decision: 'commit' | 'abort', gid: Gid | undefined): Promise<EndAnswer>
  /** Gives the connection up as it is: somebody else ends the branch. Idempotent. */
  leave(): void
  /**
   * Cuts the connection, so that what is unanswered becomes `unknown` now. Touches nothing once the
   * connection was given up.
   */
  cut(): void
}

export interface BranchFault {
  readonly code: 'ASSENT_SWALLOWED_ERROR' | 'ASSENT_TRANSACTION_CONTROL' | 'ASSENT_UNCLEAR'
  readonly message: string
  readonly cause: unknown
  /**
   * `unknown` when the user's own COMMIT may have made a part durable: then "aborted" would be a
   * lie about this branch.
   */
  readonly outcome: 'aborted' | 'unknown'
}

/** The row that a transaction writes in each writing branch. */
export interface Mark {
  readonly id: TransactionId
  /** The branches that are marked: the decider and every voter. */
  readonly participants: readonly string[]
}

export interface Question {
  readonly txid: string
  /** The epoch that the asker's id names, for what a missing row means. */
  readonly epoch: string
  readonly app: string
  readonly register: string
}

export interface PreparedList {
  readonly branches: readonly PreparedBranch[]
  /** How many processes scan this database, this one included. */
  readonly processes: number
  /**
   * How many transactions began since the oldest one that is prepared here: its rows can't be vacuumed.
   * Undefined where the system has no such horizon.
   */
  readonly horizonTransactions?: number
}

export interface PreparedBranch {
  /** The prepared transaction's id, as the system has it. */
  readonly gid: string
  /** How old it is, for a person: by the server's own clock, or since its transaction began. */
  readonly ageMs: number
  /** How long it is known to be prepared. */
  readonly preparedForMs: number
  /** Whether the role that recovers may end it. */
  readonly mayEnd: boolean
  /** Whose it is, for a person: `role app` on PostgreSQL, `connection 12` on MariaDB. */
  readonly owner: string
}
