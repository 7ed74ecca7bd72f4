/**
 * What `tools/break.ts` breaks is still there to be broken: code that has moved on would leave its rule
 * without anybody who has seen its test fail.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { MYSQL } from '../../tools/breakages/mysql.ts'
import { orderingBreakages } from '../../tools/breakages/ordering.ts'
import { POSTGRES } from '../../tools/breakages/postgres.ts'

const root = path.resolve(import.meta.dirname, '../..')

test.each([...POSTGRES, ...MYSQL, ...orderingBreakages()])('$name', ({ file, find, replace }) => {
  const source = readFileSync(path.join(root, file), 'utf8')
  expect(source.split(find)).toHaveLength(2)
  expect(replace).not.toBe(find)
})
