/**
 * The ordering table: what must be known before a message may leave.
 *
 * Owns: every ordering obligation of the protocols, as data.
 * Promises: the machines send a message if, and only if, every fact of its row holds. They have no
 * other place that decides it, so a row that is weakened here is a protocol that is weakened, and
 * the exploration (`test/model`) finds what it breaks.
 * Never: knows how a message is sent, or what a branch is called.
 */

/** Messages of the process that runs a two-phase transaction. */
export type OwnerMessage =
  | 'claim'
  | 'commit-reader'
  | 'vote'
  | 'decide'
  | 'ask'
  | 'apply'
  | 'undo'
  | 'tell-committed'
  | 'tell-aborted'
  | 'tell-unknown'

/** What that process knows. Each fact, once true, stays true, but for those marked ‡. */
export type OwnerFact =
  /** The decider answered that the claim is in its transaction. */
  | 'the claim is acknowledged'
  /** Each voter answered that its receipt and its branch are durably prepared. */
  | 'every voter is prepared'
  | 'every reader has committed'
  /** ‡ COMMIT was not sent, and nothing happened that rules it out. */
  | 'nothing speaks against commit'
  /** ‡ COMMIT was sent, and its answer was lost. */
  | 'the answer to COMMIT was lost'
  /** ‡ COMMIT was sent, and whether it took effect is not known. */
  | 'the outcome is not known'
  /** Its COMMIT was acknowledged, or the mark was read as *Ask* reads. */
  | 'commit is durable'
  /** COMMIT was never sent and never will be; or it was refused; or its register says so. */
  | 'commit is impossible'
  /** The branch has no message of ours that is still unanswered. */
  | 'the branch has answered'
  /** Each voter has applied the decision, or nobody waits for that. */
  | 'the end is applied or not waited for'
  /** ‡ The caller's time has not run out. */
  | 'the caller waits'
  /** The caller's time ran out, or nothing can be learnt here any more. */
  | 'waiting is over'

/** Messages of whoever recovers one prepared branch. */
export type RecoveryMessage =
  | 'ask-register'
  | 'commit-prepared'
  | 'rollback-prepared'
  | 'ask-receipt'
  | 'ask-register-again'
  | 'alarm-lost-vote'

export type RecoveryFact =
  /** Found under its key, and the asker's own COMMIT was acknowledged after it. */
  | 'the register says commit'
  /** Found so, or absent while the register remembers the epoch. */
  | 'the register says abort'
  /** COMMIT PREPARED was answered "does not exist". */
  | 'the branch was missing'
  /** Our own row took the receipt's key: it never committed here, and is not prepared. */
  | 'the receipt is absent'
  /** Asked after the receipt was found absent. */
  | 'the register still says commit'

/** One-phase: at most one branch wrote, and its own commit is the decision. */
export type SoloMessage = 'commit-reader' | 'commit' | 'undo' | 'tell'
export type SoloFact =
  | 'every reader has committed'
  | 'nothing speaks against commit'
  | 'commit is impossible'
  | 'the outcome is settled'

/** One row: the message may be sent when all of `after` holds. */
export interface Row<Fact> {
  readonly after: readonly Fact[]
  readonly because: string
}

export type Table<Message extends string, Fact> = Readonly<Record<Message, Row<Fact>>>

export const TWO_PHASE_ORDERING: Table<OwnerMessage, OwnerFact> = {
  claim: {
    after: ['nothing speaks against commit'],
    because: 'the work is done and the roles are settled; nobody else knows the txid yet',
  },
  'commit-reader': {
    after: ['the claim is acknowledged', 'nothing speaks against commit'],
    because: 'a reader that can’t commit is a no, and must be known before the decision',
  },
  vote: {
    after: ['the claim is acknowledged', 'nothing speaks against commit'],
    because:
      'a prepared branch shows the txid to every process; whoever asks the register must find ' +
      'the claim in its way, or a missing row would not mean that the owner is gone',
  },
  decide: {
    after: [
      'the claim is acknowledged',
      'every voter is prepared',
      'every reader has committed',
      'nothing speaks against commit',
    ],
    because: 'commit is written only after every branch durably voted yes, and at most once',
  },
  ask: {
    after: ['the answer to COMMIT was lost', 'the caller waits'],
    because:
      'a lost answer to COMMIT is neither yes nor no; only the register knows; once nobody waits ' +
      'for it here, the scans ask',
  },
  apply: {
    after: ['commit is durable'],
    because: 'a prepared branch ends only by obeying the register',
  },
  undo: {
    after: ['commit is impossible', 'the branch has answered'],
    because:
      'a prepared branch ends only by obeying the register; a rollback sent while PREPARE is ' +
      'still under way would find nothing and leave the branch prepared',
  },
  'tell-committed': {
    after: ['commit is durable', 'the end is applied or not waited for'],
    because: 'the promise resolves only when commit is durable',
  },
  'tell-aborted': {
    after: ['commit is impossible', 'the end is applied or not waited for'],
    because: 'aborted is said only of what can never commit',
  },
  'tell-unknown': {
    after: ['the outcome is not known', 'waiting is over'],
    because: 'everything else would be a guess',
  },
}

export const ONE_PHASE_ORDERING: Table<SoloMessage, SoloFact> = {
  'commit-reader': {
    after: ['nothing speaks against commit'],
    because: 'the work is done; what was read stands only if the reader commits',
  },
  commit: {
    after: ['every reader has committed', 'nothing speaks against commit'],
    because: 'a reader’s failure must still be able to stop the only write',
  },
  undo: {
    after: ['commit is impossible'],
    because: 'COMMIT was not sent, or was refused',
  },
  tell: {
    after: ['the outcome is settled'],
    because: 'the caller is told what the only writer answered, and `unknown` if it did not',
  },
}

export const RECOVERY_ORDERING: Table<RecoveryMessage, RecoveryFact> = {
  'ask-register': {
    after: [],
    because: 'listed as prepared: its claim was acknowledged before, so asking disturbs nobody',
  },
  'commit-prepared': {
    after: ['the register says commit'],
    because: 'a prepared branch ends only by obeying the register',
  },
  'rollback-prepared': {
    after: ['the register says abort'],
    because: 'never by a time-out, and a missing row means abort only as *Memory* says',
  },
  'ask-receipt': {
    after: ['the branch was missing'],
    because: '"does not exist" is no proof that it committed',
  },
  'ask-register-again': {
    after: ['the receipt is absent'],
    because:
      'read apart, the two could belong to different moments: the receipt may have been cleaned ' +
      'since the register was read, but never before its register was settled',
  },
  'alarm-lost-vote': {
    after: ['the register still says commit'],
    because: 'the decision stands, and this participant lost what it had promised',
  },
}
