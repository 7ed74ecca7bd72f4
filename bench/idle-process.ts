/**
 * A process with Assent over many databases, that does nothing.
 *
 * Owns: two lines out: one when the window begins, one with what it cost; it ends when its input does.
 */
import { once } from 'node:events'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { orderGiven } from './child-process.ts'

export interface IdleOrder {
  readonly urls: readonly string[]
  readonly warmUpMs: number
  readonly windowMs: number
}

export interface IdleReading {
  readonly wallMs: number
  readonly cpuMs: number
}

const { urls, warmUpMs, windowMs } = orderGiven() as IdleOrder
process.on('SIGINT', () => undefined)
const pools = urls.map((connectionString) => new pg.Pool({ connectionString }))
const assent = createAssent({
  app: 'idle',
  participants: Object.fromEntries(pools.map((pool, at) => [`database${at}`, participant(pool)])),
})
await assent.recover()
await pass(warmUpMs)
process.stdout.write('begun\n')
const [begun, before] = [performance.now(), process.cpuUsage()]
await pass(windowMs)
const { user, system } = process.cpuUsage(before)
const reading: IdleReading = {
  wallMs: performance.now() - begun,
  cpuMs: (user + system) / 1_000,
}
const looked = once(process.stdin.resume(), 'end')
process.stdout.write(`${JSON.stringify(reading)}\n`)
await looked // Our sessions are looked at while they are still there.
await assent.close()
await Promise.all(pools.map((pool) => pool.end()))

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
