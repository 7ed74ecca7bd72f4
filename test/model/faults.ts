/**
 * Faults, planted on purpose as wrappers around the shipped machines.
 *
 * Owns: each fault, and the ordering tables with one obligation taken out.
 * Promises: `src/` is never changed for them; what is wrong is only what the wrapper says.
 */
import {
  ONE_PHASE_ORDERING,
  RECOVERY_ORDERING,
  TWO_PHASE_ORDERING,
  conclude,
  recovery,
  twoPhase,
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
  readonly table: 'two-phase' | 'recovery' | 'one-phase'
  readonly message: string
  readonly fact: string
}

/** Every obligation of every ordering table, in the order of the tables. */
export const OBLIGATIONS: readonly Obligation[] = [
  ...obligationsOf('two-phase', TWO_PHASE_ORDERING),
  ...obligationsOf('recovery', RECOVERY_ORDERING),
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
  if (table === 'two-phase') {
    const ordering = without(TWO_PHASE_ORDERING as Table<string, string>, message, fact)
    return {
      ...SHIPPED,
      ownerStep: (state, event) =>
        twoPhase.step(state, event, ordering as typeof TWO_PHASE_ORDERING),
    }
  }
  const ordering = without(RECOVERY_ORDERING as Table<string, string>, message, fact)
  return {
    ...SHIPPED,
    recoveryStep: (state, event) =>
      recovery.step(state, event, ordering as typeof RECOVERY_ORDERING),
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
