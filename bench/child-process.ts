/**
 * Owns: starting another program of this folder as a process of its own.
 * Promises: what it is told goes through its environment, so that no password is in the process
 * list; it learns of our death because its input ends; its exit before its word is an error.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { within } from '../harness/eventually.ts'

const EXIT_MS = 10_000

export interface Child {
  /** A line for its input. */
  tell(line: string): void
  /** The next line that it prints. */
  line(): Promise<string>
  /** Ends its input, and waits for its exit. */
  end(): Promise<void>
}

export function startChild(program: string, order: unknown): Child {
  const path = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, path], {
    env: { ...process.env, ASSENT_BENCH_ORDER: JSON.stringify(order) },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => {
      resolve()
    })
  })
  child.stdin.on('error', () => undefined)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    tell: (line) => {
      child.stdin.write(`${line}\n`)
    },
    line: async () => {
      const next = await lines.next()
      if (next.done === true) throw new Error(`${program} ended too early`)
      return next.value
    },
    end: async () => {
      child.stdin.end()
      try {
        await within(`${program} to end`, exited, EXIT_MS)
      } catch (error) {
        child.kill('SIGKILL')
        throw error
      }
    },
  }
}

/** What a child of ours was told. */
export function orderGiven(): unknown {
  return JSON.parse(process.env['ASSENT_BENCH_ORDER'] ?? '{}')
}
