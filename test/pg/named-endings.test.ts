import { describe, expect, test } from 'vitest'
import type { PgConnection } from '../../src/systems/pg/driver.ts'
import { NamedEndings } from '../../src/systems/pg/named-endings.ts'

/** The driver's books, and its `parse`. */
function connection(books: object = { parsedStatements: {} }) {
  const sent: unknown[] = []
  const made = {
    ...books,
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
  expect(NamedEndings.of(connection().made).found).toBe('none')
})

test('the names that users give do no harm, as a rule', () => {
  const texts = { a: 'select 1', b: 'update t set commit = 1', c: 'savepoint a', d: '' }
  expect(NamedEndings.of(connection({ parsedStatements: texts }).made).found).toBe('none')
})

describe.each([
  'COMMIT',
  '/* all of it */ end',
  'rollback and chain',
  'rollback to a',
  'begin',
  "prepare transaction 'x'",
])('%j under a name', (text) => {
  test.each(['parsedStatements', 'submittedNamedStatements'])('in the driver’s %s', (book) => {
    const books = { parsedStatements: {}, [book]: { harmless: 'select 1', again: text } }
    expect(NamedEndings.of(connection(books).made).found).toBe('maybe')
  })

  test('that is parsed later, by whoever it is', () => {
    const { made, sent } = connection()
    const endings = NamedEndings.of(made)
    parse(made, { name: 'harmless', text: 'select 1', types: [] })
    expect(endings.found).toBe('none')
    parse(made, { name: 'again', text, types: [] })
    expect(endings.found).toBe('maybe')
    expect(sent).toEqual([
      [true, { name: 'harmless', text: 'select 1', types: [] }, true],
      [true, { name: 'again', text, types: [] }, true],
    ])
  })

  test('is no harm without one: nobody can run it', () => {
    const { made } = connection()
    const endings = NamedEndings.of(made)
    parse(made, { text, types: [] })
    parse(made, { name: '', text, types: [] })
    expect(endings.found).toBe('none')
  })
})

test.each([
  ['its books are missing', {}],
  ['a text can’t be read', { parsedStatements: { a: 1 } }],
])('where %s, nothing is ruled out', (_why, books) => {
  expect(NamedEndings.of(connection(books).made).found).toBe('maybe')
})
