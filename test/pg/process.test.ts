import { spawn } from 'node:child_process'
import path from 'node:path'
import { expect, test } from 'vitest'
import { nodeProgram } from '../../harness/fixture-process.ts'
import { freshDatabase } from '../support/databases.ts'

test.each([
  ['neither recovery nor its connections keep a process alive', 'forget'],
  ['close() settles when nothing else keeps the process alive', 'close'],
])('%s', async (_promise, ending) => {
  const [orders, stock] = await Promise.all([freshDatabase('first'), freshDatabase('second')])
  const program = path.join(import.meta.dirname, '../support/ends-by-itself.program.ts')
  const child = spawn(
    nodeProgram(),
    ['--conditions=assent-source', program, orders.url, stock.url, ending],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = await new Promise<[number | null]>((resolve) => {
    child.on('exit', (exit) => {
      resolve([exit])
    })
  })
  expect({ code, output }).toEqual({ code: 0, output: 'done\n' })
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
})
