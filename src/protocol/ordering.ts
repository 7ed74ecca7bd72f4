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
  | 'look-for-receipts'
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
  /** Its answer was about a row that is missing. */
  | 'the register has no row'
  /** It has a row, or no other participant was seen to have the receipt, asked after it. */
  | 'nothing contradicts the register'
  /** COMMIT PREPARED was answered "does not exist". */
  | 'the branch was missing'
  /** Our own row took the receipt's key: it never committed here, and is not prepared. */
  | 'the receipt is absent'
  /** Asked after the receipt was found absent. */
  | 'the register still says commit'

/** Messages of whoever forgets one transaction that is over. */
export type ForgettingMessage =
  | 'read-decision'
  | 'read-receipt'
  | 'ask-receipt'
  | 'ask-register'
  | 'alarm-lost-vote'
  | 'settle'
  | 'forget-receipt'
  | 'forget-decision'

/** *Durable* means: read, or written, by a transaction whose own COMMIT was acknowledged. */
export type ForgettingFact =
  | 'the decision is durably commit'
  /** A durable reading did not have the participant’s receipt. */
  | 'the receipt was not seen'
  /** Our own row took the receipt’s key. */
  | 'the receipt is absent'
  /** Asked after the receipt was found absent: its row is there, and not settled. */
  | 'the register still says commit'
  | 'every receipt is durable'
  | 'the decision is durably settled'
  | 'every receipt is durably forgotten'
  | 'the epoch is durably unlisted'

/** Messages of whoever looks whether a receipt still has its decision. */
export type WitnessMessage =
  'read-receipt' | 'ask-register' | 'ask-receipt-again' | 'alarm-lost-decision'

export type WitnessFact =
  | 'the receipt is durable'
  /** Asked after the receipt was read: our own row took the key. */
  | 'the register has no row'
  /** Asked after the register: forgetting deletes receipts before it deletes their decision. */
  | 'the receipt is still there'

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
  'look-for-receipts': {
    after: ['the register says abort', 'the register has no row'],
    because:
      'a receipt is only visible after its decision, which stays until this branch has ended: one that ' +
      'is seen now is proof that the register lost the row',
  },
  'rollback-prepared': {
    after: ['the register says abort', 'nothing contradicts the register'],
    because:
      'never by a time-out, and a missing row means abort only as *Memory* says; which a backup that ' +
      'was put back without a word can’t know',
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

export const FORGETTING_ORDERING: Table<ForgettingMessage, ForgettingFact> = {
  'read-decision': {
    after: [],
    because: 'a row that is read disturbs nobody',
  },
  'read-receipt': {
    after: ['the decision is durably commit'],
    because: 'only what was decided can have been applied',
  },
  'ask-receipt': {
    after: ['the receipt was not seen'],
    because: 'not seen may be prepared still, or lost; only the key tells which',
  },
  'ask-register': {
    after: ['the receipt is absent'],
    because:
      'somebody else may have settled the row, and forgotten the receipt, since the row was read',
  },
  'alarm-lost-vote': {
    after: ['the register still says commit'],
    because: 'the decision stands, and a participant lost what it had promised',
  },
  settle: {
    after: ['the decision is durably commit', 'every receipt is durable'],
    because:
      'a branch whose receipt is durable can never come back prepared after a crash; an empty ' +
      'list of prepared branches may be seen before it is durable, and proves nothing',
  },
  'forget-receipt': {
    after: ['the decision is durably settled'],
    because:
      'whoever finds neither branch nor receipt must find the row settled, or he would take the ' +
      'vote for lost',
  },
  'forget-decision': {
    after: [
      'the decision is durably settled',
      'every receipt is durably forgotten',
      'the epoch is durably unlisted',
    ],
    because:
      'a missing row of a listed epoch means abort; and a receipt without its decision is an alarm',
  },
}

export const WITNESS_ORDERING: Table<WitnessMessage, WitnessFact> = {
  'read-receipt': {
    after: [],
    because: 'a row that is read disturbs nobody',
  },
  'ask-register': {
    after: ['the receipt is durable'],
    because: 'a receipt is only visible after its decision: asked in this order, it must be there',
  },
  'ask-receipt-again': {
    after: ['the register has no row'],
    because: 'both may have been forgotten in the meantime, the receipt first',
  },
  'alarm-lost-decision': {
    after: ['the receipt is still there'],
    because: 'the register lost its decision, or this participant was set back',
  },
}
