import { describe, expect, test } from 'vitest'
import {
  COMMIT_PREPARED,
  DEFINITE_ANSWERS,
  ROLLBACK_PREPARED,
  committed,
  open,
  prepared,
  readAnswer,
  readEnd,
} from '../../src/systems/pg/answers.ts'
import type { Expected } from '../../src/systems/pg/answers.ts'
import type { Reply } from '../../src/systems/pg/message.ts'

type Answered = Extract<Reply, { kind: 'answered' }>

function reply(of: Expected, over: Partial<Answered> = {}): Reply {
  const asExpected = { tags: of.tags, status: of.status, rows: [], warnings: [], error: undefined }
  return { kind: 'answered', ...asExpected, ...over }
}

function failed(code: string, tags: readonly string[], status: string): Partial<Answered> {
  const error = Object.assign(new Error(`error ${code}`), { code, severity: 'ERROR' })
  return { tags, status, error }
}

const CLAIMED = open(['SET CONSTRAINTS', 'INSERT 0 1'])
const PREPARED = prepared(['SET CONSTRAINTS', 'INSERT 0 1'])
const COMMITTED = committed([])
const MESSAGES = { CLAIMED, PREPARED, COMMITTED, COMMIT_PREPARED, ROLLBACK_PREPARED }
const LOST: Reply = { kind: 'lost', cause: new Error('the connection was closed') }

describe.each(Object.entries(MESSAGES))('the answer to %s', (_name, expected) => {
  test('is yes for every tag, the status, and no warning', () => {
    expect(readAnswer(reply(expected), expected)).toEqual({ answer: 'yes' })
  })

  test('is unknown for a lost connection', () => {
    expect(readAnswer(LOST, expected)).toMatchObject({ answer: 'unknown' })
  })

  test.each([
    ['fewer tags', { tags: expected.tags.slice(0, -1) }],
    ['more tags', { tags: [...expected.tags, 'SELECT 1'] }],
    ['another tag', { tags: [...expected.tags.slice(0, -1), 'SELECT 1'] }],
    [
      'only the first word of a tag',
      { tags: [...expected.tags.slice(0, -1), expected.tags.at(-1)!.split(' ')[0]!.slice(0, 3)] },
    ],
    ['a status inside a failed transaction', { status: 'E' }],
    ['the other status', { status: expected.status === 'I' ? 'T' : 'I' }],
  ])('is unknown for %s', (_what, over) => {
    expect(readAnswer(reply(expected, over), expected)).toMatchObject({ answer: 'unknown' })
  })

  test('is no for the tag ROLLBACK', () => {
    const over = { tags: [...expected.tags.slice(0, -1), 'ROLLBACK'], status: 'I' }
    expect(readAnswer(reply(expected, over), expected)).toMatchObject({ answer: 'no' })
  })
})

describe.each(Object.entries({ PREPARED, COMMITTED }))('the answer to %s', (_name, expected) => {
  const before = expected.tags.slice(0, -1)

  test.each(['23505', '40001', '40P01', '0A000', '53200', 'P0001', 'MY001', '42501', '22012'])(
    'is no when the deciding statement failed with %s and the server is ready',
    (code) => {
      const read = readAnswer(reply(expected, failed(code, before, 'I')), expected)
      expect(read).toMatchObject({ answer: 'no', cause: { code } })
    },
  )

  test.each([
    '57014',
    '57P01',
    '08006',
    '08P01',
    '53100',
    '53300',
    '58030',
    'XX000',
    '40003',
    'F0001',
  ])('is unknown when it failed with %s: the server’s trouble, not the transaction’s', (code) => {
    const read = readAnswer(reply(expected, failed(code, before, 'I')), expected)
    expect(read).toMatchObject({ answer: 'unknown', cause: { code } })
  })

  test('is unknown when the server is still inside a transaction after the error', () => {
    for (const status of ['T', 'E']) {
      const read = readAnswer(reply(expected, failed('23505', before, status)), expected)
      expect(read).toMatchObject({ answer: 'unknown' })
    }
  })

  test('is unknown for a warning at the deciding statement, and only there', () => {
    const warned = (during: number) => ({ warnings: [{ during, message: 'canceling wait' }] })
    const decides = before.length
    expect(readAnswer(reply(expected, warned(decides)), expected)).toMatchObject({
      answer: 'unknown',
    })
    if (decides === 0) return
    expect(readAnswer(reply(expected, warned(0)), expected)).toEqual({ answer: 'yes' })
  })
})

test('a vote whose receipt failed is a no, whatever the code: PREPARE was skipped', () => {
  for (const code of ['23502', '57014', 'XX000']) {
    const over = failed(code, PREPARED.tags.slice(0, 1), 'E')
    expect(readAnswer(reply(PREPARED, over), PREPARED)).toMatchObject({ answer: 'no' })
  }
})

test('trouble outside of any transaction, before the deciding statement, may be a pooler’s own words', () => {
  const expected = committed(['SET CONSTRAINTS', 'SET'])
  for (const code of ['08006', '57P01', '58000', '53300']) {
    const read = readAnswer(reply(expected, failed(code, [], 'I')), expected)
    expect(read).toMatchObject({ answer: 'unknown', cause: { code } })
    // A server that has skipped the rest is in the failed transaction still.
    const skipped = failed(code, [], 'E')
    expect(readAnswer(reply(expected, skipped), expected)).toMatchObject({ answer: 'no' })
  }
  const noPortal = failed('34000', [], 'I')
  expect(readAnswer(reply(expected, noPortal), expected)).toMatchObject({ answer: 'no' })
  const claimed = failed('08006', [], 'I')
  expect(readAnswer(reply(CLAIMED, claimed), CLAIMED)).toMatchObject({ answer: 'unknown' })
})

test('an error behind the tag of the deciding statement is not that statement’s', () => {
  for (const expected of [PREPARED, COMMITTED]) {
    const over = failed('0A000', expected.tags, 'I')
    expect(readAnswer(reply(expected, over), expected)).toMatchObject({ answer: 'unknown' })
  }
})

test('a claim decides nothing: an error or no row is a no', () => {
  const noRow = { tags: [...CLAIMED.tags.slice(0, -1), 'INSERT 0 0'] }
  expect(readAnswer(reply(CLAIMED, noRow), CLAIMED)).toMatchObject({ answer: 'no' })
  const error = failed('XX000', CLAIMED.tags.slice(0, 1), 'E')
  expect(readAnswer(reply(CLAIMED, error), CLAIMED)).toMatchObject({ answer: 'no' })
  // The same tag in a vote would have let PREPARE run behind it.
  const voted = { tags: [...PREPARED.tags.slice(0, 1), 'INSERT 0 0', 'PREPARE TRANSACTION'] }
  expect(readAnswer(reply(PREPARED, voted), PREPARED)).toMatchObject({ answer: 'unknown' })
})

test('ending: "does not exist" is missing, everything unclear is unknown, and nothing is a no', () => {
  for (const decision of ['commit', 'abort'] as const) {
    const expected = decision === 'commit' ? COMMIT_PREPARED : ROLLBACK_PREPARED
    expect(readEnd(reply(expected), decision)).toEqual({ answer: 'done' })
    expect(readEnd(reply(expected, failed('42704', [], 'I')), decision)).toEqual({
      answer: 'missing',
    })
    for (const code of ['55000', '42501', '25001', '57014', '0A000']) {
      const read = readEnd(reply(expected, failed(code, [], 'I')), decision)
      expect(read).toMatchObject({ answer: 'unknown', cause: { code } })
    }
    expect(readEnd(LOST, decision)).toMatchObject({ answer: 'unknown' })
  }
  expect(readEnd(reply(ROLLBACK_PREPARED), 'commit')).toMatchObject({ answer: 'unknown' })
})

test('each row of the whitelist is needed by a reply that no other row answers', () => {
  const only: readonly (readonly [Reply, Expected])[] = [
    [reply(CLAIMED), CLAIMED],
    [reply(COMMITTED, { tags: ['ROLLBACK'] }), COMMITTED],
    [reply(CLAIMED, { tags: [...CLAIMED.tags.slice(0, -1), 'INSERT 0 0'] }), CLAIMED],
    [reply(PREPARED, failed('XX000', PREPARED.tags.slice(0, 1), 'E')), PREPARED],
    [reply(COMMITTED, failed('40001', [], 'I')), COMMITTED],
  ]
  expect(DEFINITE_ANSWERS).toHaveLength(only.length)
  only.forEach(([given, expected], at) => {
    if (given.kind === 'lost') throw new Error('a lost reply is never definite')
    const matching = DEFINITE_ANSWERS.filter((row) => row.when(given, expected))
    expect(matching).toEqual([DEFINITE_ANSWERS[at]])
  })
})
