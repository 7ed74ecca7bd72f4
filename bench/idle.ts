/**
 * What Assent costs while nothing happens: one process, ten databases on one server.
 *
 * Owns: the idle process, and reading the processor time of the server beside it.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { startChild } from './child-process.ts'
import type { IdleOrder, IdleReading } from './idle-process.ts'
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
      const before = serverSeconds(stage)
      const reading = JSON.parse(await child.line()) as IdleReading
      const ofServer = secondsBetween(before, serverSeconds(stage))
      const seconds = reading.wallMs / 1_000
      return {
        databases: DATABASES,
        seconds,
        clientPercent: (reading.cpuMs / reading.wallMs) * 100,
        serverPercent: ofServer === undefined ? undefined : (ofServer / seconds) * 100,
      }
    } finally {
      await child.end()
    }
  } finally {
    await stage.dropDatabases(urls)
  }
}

/** Processor time that each process of the first server has had. */
function serverSeconds(stage: Stage): ReadonlyMap<string, number> | undefined {
  const [server] = stage.servers
  if (server === undefined || !existsSync('/proc/self/schedstat')) return undefined
  const pids = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => Number(pid) === server.pid || parentOf(pid) === server.pid)
  const nanoseconds = (pid: string): number => Number(read(`/proc/${pid}/schedstat`).split(' ')[0])
  return new Map(pids.map((pid) => [pid, nanoseconds(pid) / 1e9]))
}

/** A process that has ended meanwhile takes its time with it. */
function secondsBetween(
  before: ReadonlyMap<string, number> | undefined,
  after: ReadonlyMap<string, number> | undefined,
): number | undefined {
  if (before === undefined || after === undefined) return undefined
  return [...after].reduce((sum, [pid, seconds]) => sum + seconds - (before.get(pid) ?? 0), 0)
}

/** The second field of `stat` is a name in parentheses, and may have spaces. */
function parentOf(pid: string): number {
  const stat = read(`/proc/${pid}/stat`)
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
}

/** Of a process that has just ended, nothing. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
