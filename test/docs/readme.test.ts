import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { blocks, read } from './markdown.ts'
import { scratch } from './scratch.ts'

const [program = ''] = blocks(read('README.md'), 'ts')

interface Ended {
  readonly code: unknown
  readonly out: string
  readonly errors: string
}

async function run(orders: TestDatabase, stock: TestDatabase): Promise<Ended> {
  const file = path.join(scratch(), 'readme.ts')
  writeFileSync(file, program)
  const child = spawn(process.execPath, ['--conditions=assent-source', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ORDERS_URL: orders.url, STOCK_URL: stock.url },
    timeout: 30_000,
  })
  const exited = once(child, 'exit')
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  const code: unknown = (await exited)[0]
  return { code, out, errors }
}

async function shop(free: number): Promise<{ orders: TestDatabase; stock: TestDatabase }> {
  const [orders, stock] = await Promise.all([freshDatabase('first'), freshDatabase('second')])
  await orders.sql('create table orders (id bigint generated always as identity, sku text)')
  await stock.sql('create table stock (sku text primary key, free integer not null)')
  await stock.sql('insert into stock values ($1, $2)', ['A-1', free])
  return { orders, stock }
}

describe('the program in README.md', () => {
  test('has at most 25 lines, none longer than 100', () => {
    const lines = program.trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(10)
    expect(lines.length).toBeLessThanOrEqual(25)
    expect(lines.filter((line) => line.length > 100)).toEqual([])
  })

  test('runs against two servers, and both have its rows', async () => {
    const { orders, stock } = await shop(3)
    expect(await run(orders, stock)).toEqual({
      code: 0,
      out: 'order 1 is in both databases\n',
      errors: '',
    })
    expect(await orders.sql('select id, sku from orders')).toEqual([{ id: '1', sku: 'A-1' }])
    expect(await stock.sql('select free from stock')).toEqual([{ free: 2 }])
    const marks = 'select decision, register from assent.mark'
    for (const database of [orders, stock]) {
      expect(await database.sql(marks)).toEqual([{ decision: 'commit', register: 'orders' }])
      expect(await database.prepared()).toEqual([])
    }
  })

  test('says so when nothing is left, and leaves nothing', async () => {
    const { orders, stock } = await shop(0)
    expect(await run(orders, stock)).toEqual({ code: 0, out: 'aborted sold out\n', errors: '' })
    expect(await orders.sql('select * from orders')).toEqual([])
    expect(await stock.sql('select free from stock')).toEqual([{ free: 0 }])
  })
})
