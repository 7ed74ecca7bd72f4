/**
 * Owns: starting a server's program as a process of its own, with a log file and a watchdog.
 * Promises: everything that it prints is in the log; it neither keeps this process alive nor hears
 * the terminal's Ctrl-C; it has no variable of our environment but PATH.
 * Never: waits until the server is ready, or ends it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { RunAs } from './run-as.ts'
import type { ServerWatchdog } from './server-watchdog.ts'

export interface ServerProgram {
  readonly path: string
  readonly flags: readonly string[]
  readonly folder: string
  readonly log: string
  readonly user: RunAs
  readonly watchdog: ServerWatchdog
  /** Beside PATH, locale and time zone. */
  readonly env?: Readonly<Record<string, string>>
  /** What it reads; nothing, if absent. */
  readonly input?: string | undefined
}

export interface RunningProgram {
  readonly child: ChildProcess
  /** Resolves when it has ended: with the signal, or with `exit code 0`. */
  readonly exit: Promise<string>
}

export function spawnServer(program: ServerProgram): RunningProgram {
  const { path, flags, folder, user, watchdog, env, input } = program
  const log = openSync(program.log, 'a')
  const child = spawn(path, flags, {
    ...user,
    cwd: folder,
    // Nothing of our PG* variables, locale or time zone may reach the server.
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...env },
    // A session of its own: Ctrl-C in the terminal must reach only us.
    detached: true,
    stdio: [input === undefined ? 'ignore' : 'pipe', log, log],
  })
  closeSync(log)
  if (child.pid !== undefined) watchdog.announce(child.pid)
  const exit = new Promise<string>((resolve) => {
    child.once('error', (error) => {
      resolve(error.message)
    })
    child.once('exit', (code, signal) => {
      resolve(signal ?? `exit code ${String(code)}`)
    })
  })
  child.stdin?.on('error', () => undefined) // It ended before it had read everything.
  child.stdin?.end(input)
  child.unref() // A forgotten server must not keep this process alive; exit cleanup ends it.
  return { child, exit }
}
