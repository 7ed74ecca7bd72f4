/**
 * Owns: the auditor's process, from its start to its end.
 * Promises: its answers, or an error that says what kept them.
 */
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import type { AskedOutcome, AuditorOrder } from './auditor.ts'
import { startChild } from './child-process.ts'
import type { Child } from './child-process.ts'
import type { Place } from './database.ts'
import { comesTrue } from './waiting.ts'

const ANSWER_TIMEOUT_MS = 120_000
const END_TIMEOUT_MS = 20_000

export class Audit {
  readonly #child: Child
  readonly #signal: AbortSignal
  readonly #lines: string[] = []
  #exit: string | undefined

  constructor(places: readonly Place[], signal: AbortSignal) {
    const order: AuditorOrder = { places }
    this.#signal = signal
    this.#child = startChild('./auditor.ts', order, 'inherit')
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#lines.push(line))
    this.#child.once('exit', (code, killer) => {
      this.#exit = killer ?? `exit code ${String(code)}`
    })
    this.#child.once('error', (error) => {
      this.#exit = error.message
    })
  }

  async ask(ids: readonly string[]): Promise<ReadonlyMap<string, AskedOutcome>> {
    this.#child.stdin.write(`${JSON.stringify(ids)}\n`)
    const isOver = (): boolean => this.#lines.length > 0 || this.#exit !== undefined
    await comesTrue(isOver, ANSWER_TIMEOUT_MS, this.#signal)
    const [line] = this.#lines
    if (line === undefined) throw new Error(`the auditor did not answer (${this.#exit ?? 'runs'})`)
    const answers = JSON.parse(line) as AskedOutcome[]
    return new Map(answers.map((answer) => [answer.id, answer]))
  }

  /** Returns what was wrong with its end, if anything. */
  async close(): Promise<string | undefined> {
    this.#child.stdin.end()
    if (!(await comesTrue(() => this.#exit !== undefined, END_TIMEOUT_MS, this.#signal))) {
      await this.abandon()
      return `the auditor did not end within ${END_TIMEOUT_MS / 1_000} s of assent.close()`
    }
    return this.#exit === 'exit code 0' ? undefined : `the auditor ended with ${String(this.#exit)}`
  }

  async abandon(): Promise<void> {
    if (this.#exit !== undefined) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}
