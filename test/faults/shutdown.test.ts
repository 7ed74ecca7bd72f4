/**
 * A process is asked to end (fault 83): what it had begun is finished, or left to others.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { eventually, within } from '../../harness/eventually.ts'
import { nodeProgram } from '../../harness/fixture-process.ts'
import { freshDatabase } from '../support/databases.ts'

const PROGRAM = fileURLToPath(new URL('./draining.program.ts', import.meta.url))

async function started(ending: 'drain' | 'decided' | 'exit') {
  const [orders, stock] = await Promise.all([freshDatabase('first'), freshDatabase('second')])
  const child: ChildProcess = spawn(
    nodeProgram(),
    ['--conditions=assent-source', PROGRAM, orders.url, stock.url, ending],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const output = { text: '' }
  child.stdout?.on('data', (chunk: Buffer) => (output.text += chunk.toString()))
  const ended = within('the program to end', once(child, 'close'), 20_000)
  return { orders, stock, child, output, ended }
}

test('SIGTERM and close(): the transaction under way commits first (fault 83)', async () => {
  const { orders, stock, child, output, ended } = await started('drain')
  await eventually('it to work', () => output.text === 'working\n')
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  expect(output.text).toBe('working\ncommitted\nclosed\n')
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  expect(await stock.prepared()).toEqual([])
})

test('close() after an answer at the decision: the end is applied first (fault 83)', async () => {
  const { orders, stock, output, ended } = await started('decided')
  expect(await ended).toEqual([0, null])
  expect(output.text).toBe('working\ncommitted\nclosed\n')
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  expect(await stock.prepared()).toEqual([])
})

test('process.exit() between vote and decision: others roll it back (fault 83)', async () => {
  const { orders, stock, output, ended } = await started('exit')
  expect(await ended).toEqual([0, null])
  expect(output.text).toBe('working\n')
  expect(await stock.prepared()).toHaveLength(1)
  await using _assent = createAssent({
    app: 'shop',
    participants: { orders: participant(orders.pool), stock: participant(stock.pool) },
  })
  await expect.poll(() => stock.prepared()).toEqual([])
  expect([await orders.count(), await stock.count()]).toEqual([0, 0])
})
