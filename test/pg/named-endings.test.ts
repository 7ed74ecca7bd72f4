import { describe, expect, test } from 'vitest'
import type { PgConnection } from '../../src/systems/pg/driver.ts'
import { NamedEndings } from '../../src/systems/pg/named-endings.ts'

function connection() {
  const sent: unknown[] = []
  const made = {
    parse(message: unknown, more: unknown) {
      sent.push([this === made, message, more])
    },
  }
  return { made: made as unknown as PgConnection, sent }
}

const parse = (to: PgConnection, message: object): void => {
  ;(to.parse as (message: object, more: boolean) => void)(message, true)
}

test('where nothing has a name, nobody can end a transaction unseen', () => {
  const endings = NamedEndings.of(connection().made)
  endings.read(null)
  expect(endings.found).toBe('none')
})

test('as long as the session’s list was not read, nothing is ruled out', () => {
  expect(NamedEndings.of(connection().made).found).toBe('maybe')
})

test('the names that users give do no harm, as a rule', () => {
  const endings = NamedEndings.of(connection().made)
  const long = `select ${'1, '.repeat(5_000)} 1`
  endings.read(JSON.stringify(['select 1', 'update t set commit = 1', 'savepoint a', '', long]))
  expect(endings.found).toBe('none')
})

describe.each([
  'COMMIT',
  '/* all of it */ end',
  `/*${' '.repeat(2_000)}*/ commit`,
  `${' '.repeat(996)}COMMIT AND CHAIN`,
  "prepare transaction'x'",
  'rollback and chain',
  'rollback to a',
  'begin',
  "prepare transaction 'x'",
])('%j under a name', (text) => {
  test('on the session’s list', () => {
    const endings = NamedEndings.of(connection().made)
    endings.read(JSON.stringify(['select 1', text]))
    expect(endings.found).toBe('maybe')
  })

  test('that is parsed later, by whoever it is', () => {
    const { made, sent } = connection()
    const endings = NamedEndings.of(made)
    endings.read(null)
    parse(made, { name: 'harmless', text: 'select 1', types: [] })
    expect(endings.found).toBe('none')
    parse(made, { name: 'again', text, types: [] })
    expect(endings.found).toBe('maybe')
    expect(sent).toEqual([
      [true, { name: 'harmless', text: 'select 1', types: [] }, true],
      [true, { name: 'again', text, types: [] }, true],
    ])
  })

  test('that was parsed before the list was read', () => {
    const { made } = connection()
    const endings = NamedEndings.of(made)
    parse(made, { name: 'again', text, types: [] })
    endings.read(null)
    expect(endings.found).toBe('maybe')
  })

  test('is no harm without one: nobody can run it', () => {
    const { made } = connection()
    const endings = NamedEndings.of(made)
    endings.read(null)
    parse(made, { text, types: [] })
    parse(made, { name: '', text, types: [] })
    parse(made, { name: null, text, types: [] })
    expect(endings.found).toBe('none')
  })
})

test.each([
  ['what parses can’t be seen', {}, null],
  ['a text can’t be read', connection().made, '[1]'],
])('where %s, nothing is ruled out', (_why, made, list) => {
  const endings = NamedEndings.of(made as PgConnection)
  endings.read(list)
  expect(endings.found).toBe('maybe')
})
