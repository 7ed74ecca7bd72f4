/**
 * The whitelist of definite answers, row by row: everything that is not in it is unknown.
 */
import { describe, expect, test } from 'vitest'
import {
  isOfAnother,
  isRolledBack,
  mayBeOfEnd,
  readAnswer,
} from '../../src/systems/mysql/answers.ts'
import type { Message } from '../../src/systems/mysql/answers.ts'
import type { Answered, Reply } from '../../src/systems/mysql/driver.ts'

const MESSAGES: readonly Message[] = ['mark', 'end', 'mark and end', 'decides']
const BEFORE_THE_DECISION = MESSAGES.filter((message) => message !== 'decides')

function ok(over: Partial<Answered> = {}): Reply {
  return { kind: 'answered', rows: [], affected: 0, warnings: 0, ...over }
}

function refused(errno: number, message = `error ${errno}`): Reply {
  return { kind: 'refused', error: Object.assign(new Error(message), { errno, sqlState: 'HY000' }) }
}

/** Shutdown, kills, the network, the disk, memory, a commit that failed half-way. */
const TROUBLE = [1021, 1026, 1030, 1037, 1041, 1053, 1079, 1158, 1180, 1317, 1927, 3169, 4031]
/** Told of a transaction that is rolled back. */
const ROLLED_BACK = [1402, 1613, 1614]

describe.each(MESSAGES)('the answer to %s', (message) => {
  const read = (reply: Reply): string => readAnswer(reply, message).answer

  test('is unknown where the connection was lost', () => {
    expect(read({ kind: 'lost', cause: new Error('gone') })).toBe('unknown')
  })

  test('is unknown for a server in trouble, whatever it says', () => {
    expect(TROUBLE.map((errno) => read(refused(errno)))).toEqual(TROUBLE.map(() => 'unknown'))
  })
})

test.each(['end', 'decides'] as const)(
  '%s is done with an OK, and without a warning',
  (message) => {
    expect(readAnswer(ok(), message)).toEqual({ answer: 'yes' })
    expect(readAnswer(ok({ warnings: 1 }), message)).toMatchObject({ answer: 'unknown' })
    // The answer to another statement.
    expect(readAnswer(ok({ rows: [['1']] }), message)).toMatchObject({ answer: 'unknown' })
  },
)

test('a mark is one row; joined with XA END, without any warning', () => {
  expect(readAnswer(ok({ affected: 1 }), 'mark')).toEqual({ answer: 'yes' })
  expect(readAnswer(ok({ affected: 1, warnings: 1 }), 'mark')).toEqual({ answer: 'yes' })
  expect(readAnswer(ok({ affected: 1 }), 'mark and end')).toEqual({ answer: 'yes' })
  const warned = ok({ affected: 1, warnings: 1 })
  expect(readAnswer(warned, 'mark and end')).toMatchObject({ answer: 'unknown' })
  for (const affected of [0, 2]) {
    expect(readAnswer(ok({ affected }), 'mark')).toMatchObject({ answer: 'unknown' })
    expect(readAnswer(ok({ affected }), 'mark and end')).toMatchObject({ answer: 'unknown' })
  }
})

describe('an error of the server', () => {
  // 1048: the mark may not be written. 1062: its key is taken.
  const errors = [1048, 1062, 1205, 1213, 1397, 1399, ...ROLLED_BACK]

  test.each(BEFORE_THE_DECISION)(
    'is a no of %s: what could be durable was never sent',
    (message) => {
      for (const errno of errors) {
        expect(readAnswer(refused(errno), message)).toMatchObject({ answer: 'no' })
      }
    },
  )

  test('is never a no of what decides: a prepared branch may come back', () => {
    for (const errno of errors) {
      expect(readAnswer(refused(errno), 'decides')).toMatchObject({ answer: 'unknown' })
    }
  })
})

test('which errors say that the branch is rolled back, and which that another transaction is open', () => {
  for (const errno of ROLLED_BACK) {
    expect(isRolledBack(refused(errno))).toBe(true)
    expect(isOfAnother(refused(errno))).toBe(false)
    expect(mayBeOfEnd(refused(errno))).toBe(true)
  }
  for (const errno of [1397, 1398, 1400, 1401]) {
    expect(isRolledBack(refused(errno))).toBe(false)
    expect(isOfAnother(refused(errno))).toBe(true)
    expect(mayBeOfEnd(refused(errno))).toBe(true)
  }
  expect(isOfAnother(refused(1399, 'in the NON-EXISTING state'))).toBe(true)
  // In every language, the name of the state is the same.
  expect(isOfAnother(refused(1399, 'im Zustand ROLLBACK ONLY'))).toBe(false)
  expect(mayBeOfEnd(refused(1205))).toBe(false)
})

test('an error that is passed on has the server’s words, and nothing of what was sent', () => {
  const error = Object.assign(new Error('Duplicate entry'), {
    errno: 1062,
    sqlState: '23000',
    sqlMessage: 'Duplicate entry',
    sql: "INSERT INTO mark VALUES ('GaBsznZVL2UdcQsaAYjh')",
  })
  const answer = readAnswer({ kind: 'refused', error }, 'mark') as { readonly cause: Error }
  expect(answer.cause).toMatchObject({ message: 'Duplicate entry', errno: 1062 })
  expect(Object.keys(answer.cause)).not.toContain('sql')
})
