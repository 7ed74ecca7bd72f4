/**
 * Owns: reading how much processor time the processes of a server of ours have had.
 * Promises: nanoseconds of the scheduler, so that short work counts too.
 * Never: sees the time of a process or thread that began and ended between two readings. Needs /proc, and a
 * server on this machine; elsewhere there is nothing to read.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import type { LoopbackServer } from '../harness/loopback-server.ts'

/** Microseconds by process id. */
export type CpuReading = ReadonlyMap<string, number> | undefined

export function readServerCpu(servers: readonly LoopbackServer[]): CpuReading {
  if (servers.length === 0 || !existsSync('/proc/self/schedstat')) return undefined
  const roots = servers.map((server) => server.pid)
  const pids = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => roots.includes(Number(pid)) || roots.includes(parentOf(pid)))
  return readCpuOf(pids)
}

/** The same for chosen processes of such a server. */
export function readCpuOf(pids: readonly string[]): CpuReading {
  if (!existsSync('/proc/self/schedstat')) return undefined
  return new Map(pids.map((pid) => [pid, microsOf(pid)]))
}

export function cpuBetween(before: CpuReading, after: CpuReading): number | undefined {
  if (before === undefined || after === undefined) return undefined
  // One that ended meanwhile takes its time with it.
  const spent = [...after].map(([pid, micros]) => Math.max(0, micros - (before.get(pid) ?? 0)))
  return spent.reduce((sum, micros) => sum + micros, 0)
}

/** Of all its threads: MariaDB has one for each connection. */
function microsOf(pid: string): number {
  const threads = threadsOf(pid).map((thread) =>
    Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]),
  )
  return threads.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1_000
}

function threadsOf(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
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
