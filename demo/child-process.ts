/**
 * Owns: starting another program of this folder as a process of its own.
 * Promises: it runs on this Node with this process' flags, gets what it is told through its
 * environment (the databases' passwords are in no process list), and learns of our death because
 * its input ends.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

export type Child = ChildProcess & { readonly stdin: Writable; readonly stdout: Readable }

/** `errors` is an open file that its standard error goes to, or 'inherit'. */
export function startChild(program: string, order: unknown, errors: number | 'inherit'): Child {
  const path = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, path], {
    env: { ...process.env, ASSENT_DEMO_ORDER: JSON.stringify(order) },
    stdio: ['pipe', 'pipe', errors],
  }) as Child
  // Writing to one that has just died is no event for us: its exit is.
  child.stdin.on('error', () => undefined)
  return child
}
