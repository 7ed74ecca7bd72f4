/**
 * What Assent costs while nothing happens: one process, ten databases on one server.
 *
 * Owns: the idle process, and what its server spends meanwhile.
 */
import { startChild } from './child-process.ts'
import type { IdleOrder, IdleReading } from './idle-process.ts'
import { cpuBetween, readServerCpu } from './server-cpu.ts'
import type { Stage } from './stage.ts'

export interface Idle {
  readonly databases: number
  readonly seconds: number
  /** Of one processor. */
  readonly clientPercent: number
  /** The same of the server with those databases; undefined where /proc is missing or it isn't ours. */
  readonly serverPercent: number | undefined
}

const DATABASES = 10

export async function measureIdle(
  stage: Stage,
  times: { readonly warmUpMs: number; readonly windowMs: number },
): Promise<Idle> {
  const urls = await stage.createDatabases(DATABASES)
  try {
    const order: IdleOrder = { urls, ...times }
    const child = startChild('./idle-process.ts', order)
    try {
      await child.line()
      const first = stage.servers.slice(0, 1)
      const before = readServerCpu(first)
      const reading = JSON.parse(await child.line()) as IdleReading
      const ofServer = cpuBetween(before, readServerCpu(first))
      return {
        databases: DATABASES,
        seconds: reading.wallMs / 1_000,
        clientPercent: (reading.cpuMs / reading.wallMs) * 100,
        serverPercent:
          ofServer === undefined ? undefined : (ofServer / 1_000 / reading.wallMs) * 100,
      }
    } finally {
      await child.end()
    }
  } finally {
    await stage.dropDatabases(urls)
  }
}
