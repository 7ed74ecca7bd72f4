/**
 * A process that runs one contender, as a program of its own would.
 *
 * Owns: one line out for each line in; it ends when its input does.
 */
import { createInterface } from 'node:readline'
import { orderGiven } from './child-process.ts'
import { closePools, openPools } from './contender.ts'
import { CONTENDERS } from './contenders.ts'
import type { Runner } from './contender.ts'
import type { ContenderName } from './contenders.ts'
import { race } from './race.ts'
import type { Race } from './race.ts'
import type { Pools } from './rivals/with-client.ts'
import type { Urls } from './workload.ts'

export interface LaneOrder {
  readonly name: ContenderName
}

export type Told =
  /** Stays open until it is told otherwise: as in a program that runs for long. */
  | { readonly open: Urls }
  | { readonly race: { readonly atOnce: number; readonly durationMs: number } }
  | { readonly close: true }

const { name } = orderGiven() as LaneOrder
process.on('SIGINT', () => undefined)
let lane: { readonly pools: Pools; readonly runner: Runner } | undefined

for await (const line of createInterface({ input: process.stdin })) {
  const said = await obey(JSON.parse(line) as Told)
  process.stdout.write(`${JSON.stringify(said ?? 'done')}\n`)
}
await close()

async function obey(told: Told): Promise<Race | undefined> {
  if ('race' in told) {
    if (lane === undefined) throw new Error(`${name} was told to run before it was opened`)
    return race(lane.runner, told.race.atOnce, told.race.durationMs)
  }
  await close()
  if ('open' in told) {
    const pools = openPools(told.open)
    lane = { pools, runner: CONTENDERS[name].open(pools) }
  }
  return undefined
}

async function close(): Promise<void> {
  const closing = lane
  lane = undefined
  await closing?.runner.close()
  if (closing !== undefined) await closePools(closing.pools)
}
