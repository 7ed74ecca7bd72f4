/**
 * What Assent costs while nothing happens: one process, ten databases on one server.
 *
 * Owns: the idle process, and what its server spends meanwhile.
 */
import { startChild } from './child-process.ts'
import type { IdleOrder, IdleReading } from './idle-process.ts'
import { cpuBetween, readCpuOf } from './server-cpu.ts'
import type { CpuReading } from './server-cpu.ts'
import type { Stage } from './stage.ts'

export interface Idle {
  readonly databases: number
  readonly seconds: number
  /** Of one processor. */
  readonly clientPercent: number
  /** The same of that process' sessions on the server; undefined where it can't be read. */
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
      const before = await readSessions(stage, urls)
      const reading = JSON.parse(await child.line()) as IdleReading
      const ofServer = cpuBetween(before, await readSessions(stage, urls))
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

/** Its sessions alone: a server that has just been busy has work of its own behind it. */
async function readSessions(stage: Stage, urls: readonly string[]): Promise<CpuReading> {
  if (stage.servers.length === 0) return undefined
  const names = urls.map((url) => new URL(url).pathname.slice(1))
  const { rows } = await stage.control.orders.query<{ pid: number }>(
    'select pid from pg_stat_activity where datname = any ($1)',
    [names],
  )
  return readCpuOf(rows.map(({ pid }) => String(pid)))
}
