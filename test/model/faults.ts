/**
 * Faults, planted on purpose as wrappers around the shipped machines.
 *
 * Owns: each fault, and the ordering tables with one obligation taken out.
 * Promises: `src/` is never changed for them; what is wrong is only what the wrapper says.
 */
import {
  FORGETTING_ORDERING,
  ONE_PHASE_ORDERING,
  RECOVERY_ORDERING,
  TWO_PHASE_ORDERING,
  WITNESS_ORDERING,
  conclude,
  forgetting,
  recovery,
  twoPhase,
  witness,
} from '../../src/protocol/index.ts'
import type { AskAnswer, EndAnswer, Table } from '../../src/protocol/index.ts'
import { SHIPPED } from './rules.ts'
import type { Rules } from './rules.ts'

/** A table in which one message no longer waits for one fact. */
export function without<Message extends string, Fact>(
  table: Table<Message, Fact>,
  message: Message,
  fact: Fact,
): Table<Message, Fact> {
  const row = table[message]
  return { ...table, [message]: { ...row, after: row.after.filter((other) => other !== fact) } }
}

/** One obligation: this message waits for this fact. */
export interface Obligation {
  readonly table: 'two-phase' | 'recovery' | 'forgetting' | 'witness' | 'one-phase'
  readonly message: string
  readonly fact: string
}

/** Every obligation of every ordering table, in the order of the tables. */
export const OBLIGATIONS: readonly Obligation[] = [
  ...obligationsOf('two-phase', TWO_PHASE_ORDERING),
  ...obligationsOf('recovery', RECOVERY_ORDERING),
  ...obligationsOf('forgetting', FORGETTING_ORDERING),
  ...obligationsOf('witness', WITNESS_ORDERING),
  ...obligationsOf('one-phase', ONE_PHASE_ORDERING),
]

function obligationsOf(
  table: Obligation['table'],
  rows: Readonly<Record<string, { readonly after: readonly string[] }>>,
): Obligation[] {
  return Object.entries(rows).flatMap(([message, { after }]) =>
    after.map((fact) => ({ table, message, fact })),
  )
}

export function nameOf({ table, message, fact }: Obligation): string {
  return `${table}: ${message} without “${fact}”`
}

/** The shipped rules but for one obligation, for a table that the exploration runs. */
export function rulesWithout({ table, message, fact }: Obligation): Rules {
  const weakened = <Ordering>(ordering: Ordering): Ordering =>
    without(ordering as Table<string, string>, message, fact) as Ordering
  switch (table) {
    case 'two-phase': {
      const ordering = weakened(TWO_PHASE_ORDERING)
      return { ...SHIPPED, ownerStep: (state, event) => twoPhase.step(state, event, ordering) }
    }
    case 'recovery': {
      const ordering = weakened(RECOVERY_ORDERING)
      return { ...SHIPPED, recoveryStep: (state, event) => recovery.step(state, event, ordering) }
    }
    case 'forgetting': {
      const ordering = weakened(FORGETTING_ORDERING)
      return {
        ...SHIPPED,
        forgettingStep: (state, event) => forgetting.step(state, event, ordering),
      }
    }
    case 'witness': {
      const ordering = weakened(WITNESS_ORDERING)
      return { ...SHIPPED, witnessStep: (state, event) => witness.step(state, event, ordering) }
    }
    case 'one-phase':
      throw new Error('one-phase is not explored: one branch has nobody to disagree with')
  }
}

/** Everybody reads a register's or a receipt's answer through `distort`. */
function askingThrough(distort: (answer: AskAnswer) => AskAnswer): Rules {
  return {
    ...SHIPPED,
    ownerStep: (state, event) =>
      twoPhase.step(
        state,
        event.type === 'asked' ? { ...event, answer: distort(event.answer) } : event,
      ),
    recoveryStep: (state, event) =>
      recovery.step(
        state,
        event.type === 'register-asked' ? { ...event, answer: distort(event.answer) } : event,
      ),
    conclude: (answer) => conclude(distort(answer)),
  }
}

function missingIsDone(answer: EndAnswer): EndAnswer {
  return answer.answer === 'missing' ? { answer: 'done' } : answer
}

const ABORT: AskAnswer = { answer: 'absent', memory: 'remembered' }

/** Sends COMMIT right behind the claim, and everything else at once. */
const AT_ONCE = {
  ...TWO_PHASE_ORDERING,
  decide: { ...TWO_PHASE_ORDERING.decide, after: [] },
}

/** The faults that are no weaker ordering but a wrong reading. */
export const READING_FAULTS = {
  'abort on a time-out of a prepared branch': {
    ...SHIPPED,
    // It never asks: the branch is old enough.
    recoveryStep: (state, event) =>
      event.type === 'start'
        ? recovery.step(recovery.step(state, event).state, {
            type: 'register-asked',
            answer: ABORT,
          })
        : recovery.step(state, event),
  },
  'a lock time-out taken as abort': askingThrough((answer) =>
    answer.answer === 'waits' ? ABORT : answer,
  ),
  '“does not exist” taken as committed': {
    ...SHIPPED,
    ownerStep: (state, event) =>
      twoPhase.step(
        state,
        event.type === 'ended' ? { ...event, answer: missingIsDone(event.answer) } : event,
      ),
    recoveryStep: (state, event) =>
      recovery.step(
        state,
        event.type === 'ended' ? { ...event, answer: missingIsDone(event.answer) } : event,
      ),
  },
  'an unclear PREPARE taken as yes': {
    ...SHIPPED,
    ownerStep: (state, event) =>
      twoPhase.step(
        state,
        event.type === 'voted' && event.answer.answer === 'unknown'
          ? { ...event, answer: { answer: 'yes' } }
          : event,
      ),
  },
  'a lost answer to COMMIT taken as refused': {
    ...SHIPPED,
    ownerStep: (state, event) =>
      twoPhase.step(
        state,
        event.type === 'decided' && event.answer.answer === 'unknown'
          ? { ...event, answer: { answer: 'no', cause: event.answer.cause } }
          : event,
      ),
  },
  'COMMIT sent behind the claim': {
    ...SHIPPED,
    ownerStep: (state, event) => twoPhase.step(state, event, AT_ONCE),
  },
  'a missing row of an unlisted epoch taken for abort': askingThrough((answer) =>
    answer.answer === 'absent' ? ABORT : answer,
  ),
  'obeying what was seen without the asker’s own COMMIT': { ...SHIPPED, obeys: 'seen' },
} as const satisfies Record<string, Rules>

/** The wrong readings of whoever forgets, and of what he forgets. */
export const FORGETTING_FAULTS = {
  'the memory read before the insert': { ...SHIPPED, memory: 'before its insert' },
  'an epoch used while it is only visible': { ...SHIPPED, epoch: 'visible' },
  'a claim that names another server’s epoch': { ...SHIPPED, claims: 'of any server' },
  'a lossy fail-over taken for a lossless one': { ...SHIPPED, server: 'ignored' },
  'an empty list of prepared branches taken for applied': { ...SHIPPED, receipts: 'not listed' },
  'a lost vote concluded from two readings': { ...SHIPPED, absence: 'from two readings' },
  'a deletion that found nothing, without a write of its own': {
    ...SHIPPED,
    deletions: 'write what they find',
  },
  // Goes on as soon as the UPDATE was sent.
  'a settled row not awaited': {
    ...SHIPPED,
    forgettingStep: (state, event) => {
      const sent = forgetting.step(state, event)
      if (sent.effects.every(({ send }) => send !== 'settle')) return sent
      const gone = forgetting.step(sent.state, { type: 'settled', answer: 'done' })
      return { state: gone.state, effects: [...sent.effects, ...gone.effects] }
    },
  },
  // "No branch and no receipt: then it must have been cleaned already."
  'a lost vote cleaned away': {
    ...SHIPPED,
    forgettingStep: (state, event) =>
      forgetting.step(
        state,
        event.type === 'receipt-asked' && event.answer.answer === 'absent'
          ? { ...event, answer: { answer: 'found', decision: 'commit' } }
          : event,
      ),
  },
  'a missing decision taken for a forgotten one': {
    ...SHIPPED,
    witnessStep: (state, event) =>
      witness.step(
        state,
        event.type === 'register-asked' && event.answer.answer === 'absent'
          ? { ...event, answer: { answer: 'found', decision: 'settled' } }
          : event,
      ),
  },
} as const satisfies Record<string, Rules>
