import { describe, expect, test } from 'vitest'
import { ERROR_CODES } from 'assent'
import { LIMITS } from '../../src/engine/limits.ts'
import {
  FORGETTING_ORDERING,
  TWO_PHASE_ORDERING,
  WITNESS_ORDERING,
} from '../../src/protocol/index.ts'
import type { Row } from '../../src/protocol/index.ts'
import { DEFINITE_ANSWERS } from '../../src/systems/pg/answers.ts'
import * as mysqlSchema from '../../src/systems/mysql/schema.ts'
import { schemaNames, schemaSql } from '../../src/systems/pg/schema.ts'
import { PROMISES } from '../model/promises.ts'
import { blocks, read, table, tables } from './markdown.ts'

describe('docs/errors.md', () => {
  const sections = new Map(
    read('docs/errors.md')
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section] as const),
  )

  test('has every code of the table, in its order, and no other', () => {
    expect([...sections.keys()]).toEqual(Object.keys(ERROR_CODES))
  })

  test.each(Object.entries(ERROR_CODES))('%s has its meaning and its advice', (code, facts) => {
    const section = sections.get(code) ?? ''
    expect(section).toContain(`**${facts.meaning}**`)
    expect(section).toContain(`\n\n${facts.advice}\n\n`)
  })

  test.each(Object.keys(ERROR_CODES))('%s says its outcomes, and whether to retry', (code) => {
    const outcome = '`(?:committed|aborted|unknown)`'
    const line = new RegExp(
      `^Outcome: ${outcome}(?:, ${outcome})*\\. Retryable: (?:no|yes|if .+)\\.$`,
      'm',
    )
    expect(sections.get(code)).toMatch(line)
  })
})

test('docs/reference/schema.md prints the schema exactly', () => {
  const printed = blocks(read('docs/reference/schema.md'), 'sql')
  expect(printed[0]).toBe(schemaSql(schemaNames('assent')))
  expect(printed.at(-1)).toBe(mysqlSchema.schemaSql(mysqlSchema.schemaNames('assent')))
})

test.each([
  ['ARCHITECTURE.md', 0, TWO_PHASE_ORDERING],
  ['docs/decisions/0007-what-may-be-forgotten.md', 0, FORGETTING_ORDERING],
  ['docs/decisions/0007-what-may-be-forgotten.md', 1, WITNESS_ORDERING],
] as const)('%s has ordering table %i of the code', (page, at, table) => {
  const rows = tables(read(page), '| message | leaves when |')[at] ?? []
  const printed = rows.flatMap(([messages = '', facts = '']) =>
    messages
      .split(', ')
      .map((message) => [message, facts.split(' · ').filter((fact) => fact !== '')] as const),
  )
  const ordering = Object.entries<Row<string>>(table).map(([message, { after }]) => [
    message,
    after,
  ])
  expect(Object.fromEntries(printed)).toEqual(Object.fromEntries(ordering))
})

test('ARCHITECTURE.md has the promises of the exploration', () => {
  expect(table(read('ARCHITECTURE.md'), '| promise | means |')).toEqual(Object.entries(PROMISES))
})

test('the whitelist of definite answers is printed as it is', () => {
  const page = read('docs/decisions/0005-definite-answers-are-a-table.md')
  expect(table(page, '| answer | row |')).toEqual(
    DEFINITE_ANSWERS.map(({ answer, means }) => [answer, means]),
  )
})

test('README.md has the limits of the code', () => {
  const rows = table(read('README.md'), '| option | default | |')
  const [, ofTime, text] = rows.find(([name]) => name?.startsWith('`timeoutMs`')) ?? []
  expect(ofTime).toBe(LIMITS.timeoutMs.toLocaleString('en-US'))
  expect(text).toContain(`At most ${LIMITS.longestTimeoutMs.toLocaleString('en-US')}.`)
})
