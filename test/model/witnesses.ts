/**
 * For each obligation of each ordering table: a state in which every other fact of the row holds
 * and this one does not.
 *
 * Owns: the witnesses, one for each (row, fact).
 * Promises: where the fact is taken out of the table, the message leaves from just that state, so
 * that a witness that stopped being one is noticed. Where a state can't be reached (the facts of a
 * row imply each other) it is made by hand all the same: the table must not rest on that.
 */
import { forgetting, onePhase, recovery, twoPhase, witness } from '../../src/protocol/index.ts'
import type {
  ForgettingMessage,
  OwnerMessage,
  RecoveryMessage,
  SoloMessage,
  TwoPhasePlan,
  WitnessMessage,
} from '../../src/protocol/index.ts'

type Witnesses<Message extends string, State> = Readonly<
  Record<Message, Readonly<Record<string, State>>>
>

const PLAN: TwoPhasePlan = { protocol: 'two-phase', readers: ['R'], decider: 'D', voters: ['P'] }

const BEGUN = twoPhase.begin(PLAN, 'applied')
const CLAIMED: twoPhase.TwoPhaseState = { ...BEGUN, claim: 'yes' }
const ASKED_FOR_VOTES: twoPhase.TwoPhaseState = {
  ...CLAIMED,
  votes: { P: 'sent' },
  readers: { R: 'sent' },
}
const VOTED: twoPhase.TwoPhaseState = {
  ...CLAIMED,
  votes: { P: 'yes' },
  readers: { R: 'yes' },
  ends: { D: 'unsent', P: 'unsent', R: 'done' },
}
const DECIDING: twoPhase.TwoPhaseState = { ...VOTED, decision: 'sent' }
const APPLYING: twoPhase.TwoPhaseState = {
  ...VOTED,
  decision: 'commit',
  ends: { D: 'done', P: 'sent', R: 'done' },
}
const UNDOING: twoPhase.TwoPhaseState = {
  ...VOTED,
  decision: 'abandoned',
  ends: { D: 'sent', P: 'sent', R: 'done' },
}

/** Every fact of the message's row holds. */
export const OWNER_READY: Readonly<Record<OwnerMessage, twoPhase.TwoPhaseState>> = {
  claim: BEGUN,
  'commit-reader': CLAIMED,
  vote: CLAIMED,
  decide: VOTED,
  ask: { ...DECIDING, decision: 'unclear' },
  apply: { ...APPLYING, ends: { D: 'done', P: 'unsent', R: 'done' } },
  undo: { ...UNDOING, ends: { D: 'sent', P: 'unsent', R: 'done' } },
  'tell-committed': { ...APPLYING, ends: { D: 'done', P: 'done', R: 'done' } },
  'tell-aborted': { ...UNDOING, ends: { D: 'done', P: 'done', R: 'done' } },
  'tell-unknown': { ...DECIDING, waiting: 'over' },
}

export const OWNER_WITNESSES: Witnesses<OwnerMessage, twoPhase.TwoPhaseState> = {
  claim: { 'nothing speaks against commit': { ...BEGUN, decision: 'abandoned' } },
  'commit-reader': {
    'the claim is acknowledged': { ...BEGUN, claim: 'sent' },
    'nothing speaks against commit': { ...CLAIMED, decision: 'abandoned' },
  },
  vote: {
    'the claim is acknowledged': { ...BEGUN, claim: 'sent' },
    'nothing speaks against commit': { ...CLAIMED, decision: 'abandoned' },
  },
  decide: {
    'the claim is acknowledged': { ...VOTED, claim: 'sent' },
    'every voter is prepared': { ...ASKED_FOR_VOTES, readers: { R: 'yes' } },
    'every reader has committed': { ...ASKED_FOR_VOTES, votes: { P: 'yes' } },
    'nothing speaks against commit': { ...VOTED, decision: 'abandoned' },
  },
  ask: {
    'the answer to COMMIT was lost': DECIDING,
    'the caller waits': { ...DECIDING, decision: 'unclear', waiting: 'over' },
  },
  apply: { 'commit is durable': DECIDING },
  undo: {
    'commit is impossible': VOTED,
    'the branch has answered': {
      ...ASKED_FOR_VOTES,
      decision: 'abandoned',
      ends: { D: 'sent', P: 'unsent', R: 'unsent' },
    },
  },
  'tell-committed': {
    'commit is durable': { ...DECIDING, waiting: 'over' },
    'the end is applied or not waited for': APPLYING,
  },
  'tell-aborted': {
    'commit is impossible': { ...DECIDING, waiting: 'over' },
    'the end is applied or not waited for': UNDOING,
  },
  'tell-unknown': {
    'the outcome is not known': { ...BEGUN, waiting: 'over' },
    'waiting is over': DECIDING,
  },
}

const { LISTED } = recovery
const ASKING: recovery.RecoveryState = { ...LISTED, register: 'asking' }
const COMMITTING: recovery.RecoveryState = {
  ...LISTED,
  register: 'commit',
  obeyed: 'commit',
  ending: 'commit sent',
}
const MISSED: recovery.RecoveryState = { ...COMMITTING, ending: 'missing' }
const UNRECEIPTED: recovery.RecoveryState = { ...MISSED, receipt: 'absent' }

/** The register has no row, and what that means. */
const WITHOUT_ROW = { ...LISTED, row: 'none' } as const
const CONTRADICTED: recovery.RecoveryState = {
  ...WITHOUT_ROW,
  register: 'abort',
  elsewhere: 'receipt',
}

export const RECOVERY_READY: Readonly<Record<RecoveryMessage, recovery.RecoveryState>> = {
  'ask-register': LISTED,
  'commit-prepared': { ...LISTED, register: 'commit' },
  'look-for-receipts': { ...WITHOUT_ROW, register: 'abort' },
  'rollback-prepared': { ...WITHOUT_ROW, register: 'abort', elsewhere: 'no receipt' },
  'ask-receipt': MISSED,
  'ask-register-again': UNRECEIPTED,
  'alarm-lost-vote': { ...UNRECEIPTED, registerAgain: 'commit' },
}

export const RECOVERY_WITNESSES: Witnesses<RecoveryMessage, recovery.RecoveryState> = {
  'ask-register': {},
  'commit-prepared': { 'the register says commit': ASKING },
  'look-for-receipts': {
    'the register says abort': { ...WITHOUT_ROW, register: 'held' },
    'the register has no row': { ...LISTED, register: 'abort', row: 'found' },
  },
  'rollback-prepared': {
    'the register says abort': ASKING,
    'nothing contradicts the register': CONTRADICTED,
  },
  'ask-receipt': { 'the branch was missing': { ...COMMITTING, ending: 'done' } },
  'ask-register-again': { 'the receipt is absent': { ...MISSED, receipt: 'found' } },
  'alarm-lost-vote': {
    'the register still says commit': { ...UNRECEIPTED, registerAgain: 'gone' },
  },
}

const CLEANING = forgetting.begin(['P'])
const DECIDED: forgetting.ForgettingState = { ...CLEANING, decision: 'commit' }
const APPLIED: forgetting.ForgettingState = { ...DECIDED, receipts: { P: 'durable' } }
const ABSENT: forgetting.ForgettingState = { ...DECIDED, receipts: { P: 'absent' } }
const SETTLED: forgetting.ForgettingState = { ...CLEANING, decision: 'settled' }
const DELETED: forgetting.ForgettingState = {
  ...SETTLED,
  epoch: 'unlisted',
  deletedReceipts: { P: 'done' },
}

export const FORGETTING_READY: Readonly<Record<ForgettingMessage, forgetting.ForgettingState>> = {
  'read-decision': CLEANING,
  'read-receipt': DECIDED,
  'ask-receipt': { ...DECIDED, receipts: { P: 'not seen' } },
  'ask-register': ABSENT,
  'alarm-lost-vote': { ...ABSENT, registerAgain: 'commit' },
  settle: APPLIED,
  'forget-receipt': SETTLED,
  'forget-decision': DELETED,
}

export const FORGETTING_WITNESSES: Witnesses<ForgettingMessage, forgetting.ForgettingState> = {
  'read-decision': {},
  'read-receipt': { 'the decision is durably commit': { ...CLEANING, decision: 'reading' } },
  'ask-receipt': { 'the receipt was not seen': DECIDED },
  'ask-register': { 'the receipt is absent': { ...DECIDED, receipts: { P: 'asking' } } },
  'alarm-lost-vote': {
    'the register still says commit': { ...ABSENT, registerAgain: 'moved on' },
  },
  settle: {
    'the decision is durably commit': { ...APPLIED, decision: 'reading' },
    'every receipt is durable': { ...DECIDED, receipts: { P: 'reading' } },
  },
  'forget-receipt': { 'the decision is durably settled': { ...APPLIED, decision: 'settling' } },
  'forget-decision': {
    'the decision is durably settled': { ...DELETED, decision: 'settling' },
    'every receipt is durably forgotten': { ...DELETED, deletedReceipts: { P: 'sent' } },
    'the epoch is durably unlisted': { ...DELETED, epoch: 'listed' },
  },
}

const LOOKING: witness.WitnessState = { ...witness.UNREAD, receipt: 'durable' }
const WITHOUT: witness.WitnessState = { ...LOOKING, register: 'has no row' }

export const WITNESS_READY: Readonly<Record<WitnessMessage, witness.WitnessState>> = {
  'read-receipt': witness.UNREAD,
  'ask-register': LOOKING,
  'ask-receipt-again': WITHOUT,
  'alarm-lost-decision': { ...WITHOUT, receiptAgain: 'there' },
}

export const WITNESS_WITNESSES: Witnesses<WitnessMessage, witness.WitnessState> = {
  'read-receipt': {},
  'ask-register': { 'the receipt is durable': { ...witness.UNREAD, receipt: 'not there' } },
  'ask-receipt-again': { 'the register has no row': { ...LOOKING, register: 'has it' } },
  'alarm-lost-decision': {
    'the receipt is still there': { ...WITHOUT, receiptAgain: 'not there' },
  },
}

const SOLO = onePhase.begin({ protocol: 'one-phase', readers: ['R'], writers: ['W'] })
const READ: onePhase.OnePhaseState = {
  ...SOLO,
  readers: { R: 'yes' },
  ends: { R: 'done', W: 'unsent' },
}
const READING: onePhase.OnePhaseState = {
  ...SOLO,
  readers: { R: 'sent' },
  ends: { R: 'sent', W: 'unsent' },
}
const COMMITTED: onePhase.OnePhaseState = {
  ...READ,
  commit: 'sent',
  ends: { R: 'done', W: 'sent' },
}

export const SOLO_READY: Readonly<Record<SoloMessage, onePhase.OnePhaseState>> = {
  'commit-reader': SOLO,
  commit: READ,
  undo: { ...READ, intent: 'abandoned' },
  tell: { ...COMMITTED, commit: 'yes', ends: { R: 'done', W: 'done' } },
}

export const SOLO_WITNESSES: Witnesses<SoloMessage, onePhase.OnePhaseState> = {
  'commit-reader': { 'nothing speaks against commit': { ...SOLO, intent: 'abandoned' } },
  commit: {
    'every reader has committed': READING,
    'nothing speaks against commit': { ...READ, intent: 'abandoned' },
  },
  undo: { 'commit is impossible': READING },
  tell: { 'the outcome is settled': COMMITTED },
}
