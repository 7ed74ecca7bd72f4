/**
 * Owns: looking at and killing other processes by their id, on Linux (/proc) and elsewhere (ps).
 * Promises: a zombie counts as gone; killTree leaves no child of the root that could still act.
 * Never: kills by name; touches a process that is neither the given one nor its child.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

interface ProcessRow {
  readonly pid: number
  readonly parent: number
  /** One letter as ps prints it: T is stopped, Z is dead but not yet reaped. */
  readonly state: string
}

/**
 * Ends a process and its direct children in one instant, as a power cut would; returns their ids.
 *
 * PostgreSQL's children each lead a process group of their own (they call setsid), so a signal to
 * the postmaster's group misses them. And the order matters: a live postmaster answers the death of
 * a child with a restart, and children notice the postmaster's death. Hence: stop the parent, kill
 * the children until no new one appears, then kill the parent.
 */
export function killTree(root: number): readonly number[] {
  const killed = new Set<number>()
  send(root, 'SIGSTOP')
  for (let round = 0; round < maxKillRounds; round += 1) {
    const table = processTable()
    const fresh = table.filter((row) => row.parent === root && !killed.has(row.pid))
    for (const row of fresh) {
      send(row.pid, 'SIGKILL')
      killed.add(row.pid)
    }
    const parent = table.find((row) => row.pid === root)
    const canStillFork = parent !== undefined && !/^[TtZX]/.test(parent.state)
    if (fresh.length === 0 && !canStillFork) break
  }
  send(root, 'SIGKILL')
  return [...killed, root]
}

/** Stops a process and its direct children (SIGSTOP), or lets them go on (SIGCONT). */
export function signalTree(root: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  // The parent first, so that it starts no further child; nor is it last to wake.
  send(root, signal)
  for (const row of processTable()) if (row.parent === root) send(row.pid, signal)
}

/** True once the process can do nothing any more. Init may reap an orphan a second late. */
export function isGone(pid: number): boolean {
  if (isLinux) {
    const row = readStat(pid)
    return row === undefined || /^[ZX]/.test(row.state)
  }
  const row = processTable().find((each) => each.pid === pid)
  return row === undefined || /^[ZX]/.test(row.state)
}

/** The command line of a process, or '' if there is none: tells whether an id was reused. */
export function commandLineOf(pid: number): string {
  if (!isLinux) return ps(['-o', 'args=', '-p', String(pid)]).trim()
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

/** Sends a signal; a process that is already gone is no error. */
export function send(pid: number, signal: NodeJS.Signals): void {
  // To kill(2), 0 means our own group and 1 is init: neither can be a process that we started.
  if (!(pid > 1)) throw new Error(`${pid} is no process to send ${signal} to`)
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const maxKillRounds = 1_000
const isLinux = existsSync('/proc/self/stat')

function processTable(): readonly ProcessRow[] {
  if (isLinux) {
    const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    return ids.map((id) => readStat(Number(id))).filter((row) => row !== undefined)
  }
  const rows: ProcessRow[] = []
  for (const line of ps(['-axo', 'pid=,ppid=,stat=']).split('\n')) {
    const [pid, parent, state] = line.trim().split(/\s+/)
    if (state !== undefined) rows.push({ pid: Number(pid), parent: Number(parent), state })
  }
  return rows
}

/** proc(5): `pid (name) state ppid …`; the name may itself contain spaces and parentheses. */
function readStat(pid: number): ProcessRow | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  const [state, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { pid, parent: Number(parent), state: state ?? '?' }
}

function ps(flags: readonly string[]): string {
  return spawnSync('ps', flags, { encoding: 'utf8' }).stdout
}
