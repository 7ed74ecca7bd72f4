/**
 * The command line as an operator runs it: a process of its own.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import type { TestDatabase } from './databases.ts'

export interface Ended {
  readonly code: unknown
  readonly out: string
  readonly errors: string
}

const root = path.resolve(import.meta.dirname, '../..')

/** `assent …` in `folder`. Its input is no terminal. */
export async function assent(
  args: readonly string[],
  { env = {}, folder = root }: { env?: NodeJS.ProcessEnv; folder?: string } = {},
): Promise<Ended> {
  const file = path.join(root, 'src/cli/main.ts')
  const child = spawn(process.execPath, ['--conditions=assent-source', file, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: 60_000,
  })
  const exited = once(child, 'exit')
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  const code: unknown = (await exited)[0]
  return { code, out, errors }
}

/** The same over `orders` and `stock`, named by flags and found in the environment. */
export function assentOn(
  shop: { readonly orders: Pick<TestDatabase, 'url'>; readonly stock: Pick<TestDatabase, 'url'> },
  more: NodeJS.ProcessEnv = {},
): (...args: readonly string[]) => Promise<Ended> {
  const env = { ORDERS_URL: shop.orders.url, STOCK_URL: shop.stock.url, ...more }
  const flags = ['orders', 'stock'].flatMap((name) => [
    '--participant',
    `${name}=env:${name.toUpperCase()}_URL`,
  ])
  return (...args) => assent([...args, '--app', 'shop', ...flags], { env })
}

export function json(ended: Ended): Record<string, never> {
  return JSON.parse(ended.out) as Record<string, never>
}
