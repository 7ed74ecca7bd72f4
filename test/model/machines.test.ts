/**
 * The machines, table by table: a message leaves when every fact of its row holds, and for want of
 * any one of them it does not.
 */
import { describe, expect, test } from 'vitest'
import {
  FORGETTING_ORDERING,
  ONE_PHASE_ORDERING,
  RECOVERY_ORDERING,
  TWO_PHASE_ORDERING,
  WITNESS_ORDERING,
  forgetting,
  onePhase,
  recovery,
  twoPhase,
  witness,
} from '../../src/protocol/index.ts'
import type { Table } from '../../src/protocol/index.ts'
import { OBLIGATIONS, nameOf, without } from './faults.ts'
import type { Obligation } from './faults.ts'
import { CHECKED_BY } from './obligations.ts'
import {
  FORGETTING_READY,
  FORGETTING_WITNESSES,
  OWNER_READY,
  OWNER_WITNESSES,
  RECOVERY_READY,
  RECOVERY_WITNESSES,
  SOLO_READY,
  SOLO_WITNESSES,
  WITNESS_READY,
  WITNESS_WITNESSES,
} from './witnesses.ts'

type Rows = Table<string, string>
const START = { type: 'start' } as const
type Witness = Readonly<Record<string, unknown>>

/** What each machine sends from a state, without learning anything. */
const SENT: Readonly<Record<Obligation['table'], (state: unknown, rows: Rows) => string[]>> = {
  'two-phase': (state, rows) =>
    twoPhase
      .step(state as twoPhase.TwoPhaseState, START, rows as typeof TWO_PHASE_ORDERING)
      .effects.map((effect) => effect.send),
  recovery: (state, rows) => [
    ...recovery.step(state as recovery.RecoveryState, START, rows as typeof RECOVERY_ORDERING)
      .effects,
  ],
  forgetting: (state, rows) =>
    forgetting
      .step(state as forgetting.ForgettingState, START, rows as typeof FORGETTING_ORDERING)
      .effects.map((effect) => effect.send),
  witness: (state, rows) => [
    ...witness.step(state as witness.WitnessState, START, rows as typeof WITNESS_ORDERING).effects,
  ],
  'one-phase': (state, rows) =>
    onePhase
      .step(state as onePhase.OnePhaseState, START, rows as typeof ONE_PHASE_ORDERING)
      .effects.map((effect) => (effect.send.startsWith('tell') ? 'tell' : effect.send)),
}

const TABLES = {
  'two-phase': { rows: TWO_PHASE_ORDERING as Rows, ready: OWNER_READY, lacking: OWNER_WITNESSES },
  recovery: {
    rows: RECOVERY_ORDERING as Rows,
    ready: RECOVERY_READY,
    lacking: RECOVERY_WITNESSES,
  },
  forgetting: {
    rows: FORGETTING_ORDERING as Rows,
    ready: FORGETTING_READY,
    lacking: FORGETTING_WITNESSES,
  },
  witness: {
    rows: WITNESS_ORDERING as Rows,
    ready: WITNESS_READY,
    lacking: WITNESS_WITNESSES,
  },
  'one-phase': { rows: ONE_PHASE_ORDERING as Rows, ready: SOLO_READY, lacking: SOLO_WITNESSES },
} as const

describe.for(Object.keys(TABLES) as (keyof typeof TABLES)[])('the ordering table: %s', (table) => {
  const { rows } = TABLES[table]
  const ready: Witness = TABLES[table].ready
  const lacking: Readonly<Record<string, Witness>> = TABLES[table].lacking
  const obligations = OBLIGATIONS.filter((obligation) => obligation.table === table)

  test.for(Object.keys(rows))('%s leaves when every fact of its row holds', (message) => {
    expect(SENT[table](ready[message], rows)).toContain(message)
  })

  test.for(obligations)('$message does not leave without “$fact”', ({ message, fact }) => {
    const witness = lacking[message]?.[fact]
    expect(witness).toBeDefined()
    expect(SENT[table](witness, rows)).not.toContain(message)
  })

  test('every witness is of a fact that is in the table', () => {
    const witnessed = Object.entries(lacking).flatMap(([message, facts]) =>
      Object.keys(facts).map((fact) => nameOf({ table, message, fact })),
    )
    expect(witnessed.sort()).toEqual(obligations.map(nameOf).sort())
  })
})

describe('every obligation, taken out of its table, is noticed', () => {
  test.for(OBLIGATIONS)('$table: $message without “$fact”', (obligation) => {
    const { table, message, fact } = obligation
    const checks = CHECKED_BY[nameOf(obligation)]
    expect(checks, 'a new obligation needs a check, named in obligations.ts').toBeDefined()
    const weakened = without(TABLES[table].rows, message, fact)
    const lacking: Readonly<Record<string, Witness>> = TABLES[table].lacking
    const sent = SENT[table](lacking[message]?.[fact], weakened)
    expect(sent).toContain(message)
  })

  test('no check is listed for an obligation that is not there', () => {
    expect(Object.keys(CHECKED_BY).sort()).toEqual(OBLIGATIONS.map(nameOf).sort())
  })
})
