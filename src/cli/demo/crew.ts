/**
 * The processes that move coins, and their murderer.
 *
 * Owns: starting them, killing them, and keeping what they told.
 * Promises: a killed process is replaced at once; `end` kills all that are left, as rudely.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import path from 'node:path'
import type { Told } from './verdict.ts'
import type { Order, Word } from './worker.ts'

/** Between two kills. */
const [SOONEST_MS, LATEST_MS] = [300, 1_500]

/** The same file in the sources and in what is built of them. */
const WORKER = path.join(import.meta.dirname, `worker${path.extname(import.meta.filename)}`)

export class Crew {
  /** Processes that were killed, and of those who had a transfer under way. */
  readonly killed = { all: 0, busy: 0 }
  /** A line for each thing that should not happen: a process that died by itself, an alarm. */
  readonly troubles: string[] = []
  readonly #order: Order
  readonly #outcomes = new Map<string, Told['outcome']>()
  readonly #workers = new Map<ChildProcess, Set<string>>()
  readonly #condemned = new Set<ChildProcess>()
  readonly #waiting = new Set<(word: Word) => void>()
  #alarm: NodeJS.Timeout | undefined
  #isEnded = false
  #isInterrupted = false

  constructor(order: Order) {
    this.#order = order
  }

  /** Starts so many, and then the killing. */
  begin(workers: number): void {
    for (let at = 0; at < workers; at += 1) this.#hire()
    this.#killLater()
  }

  /** The first transfer that ends. Rejects when no worker gets that far. */
  firstEnd(): Promise<Extract<Word, { readonly type: 'ended' }>> {
    return new Promise((resolve, reject) => {
      const worker = this.#hire()
      const listener = (word: Word): void => {
        if (word.type !== 'ended') return
        this.#waiting.delete(listener)
        worker.off('exit', onExit)
        resolve(word)
      }
      const onExit = (): void => {
        reject(new Error('the first process ended before it had moved anything'))
      }
      this.#waiting.add(listener)
      worker.once('exit', onExit)
    })
  }

  get told(): readonly Told[] {
    return [...this.#outcomes].map(([id, outcome]) => ({ id, outcome }))
  }

  count(outcome: Told['outcome']): number {
    return this.told.filter((each) => each.outcome === outcome).length
  }

  async end(): Promise<void> {
    this.#isEnded = true
    clearTimeout(this.#alarm)
    await Promise.all([...this.#workers.keys()].map((worker) => this.#kill(worker)))
  }

  #hire(): ChildProcess {
    const worker = fork(WORKER, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const underWay = new Set<string>()
    this.#workers.set(worker, underWay)
    worker.on('message', (word: Word) => {
      this.#hear(word, underWay)
    })
    worker.on('error', (error) => {
      this.#gone(worker, error.message)
    })
    worker.on('exit', (code, signal) => {
      this.#gone(worker, signal ?? `exit code ${code ?? ''}`)
    })
    worker.send(this.#order, () => undefined)
    return worker
  }

  #hear(word: Word, underWay: Set<string>): void {
    if (word.type === 'alarm') this.troubles.push(word.message)
    else {
      if (word.type === 'begins') underWay.add(word.id)
      else underWay.delete(word.id)
      this.#outcomes.set(word.id, word.type === 'begins' ? 'nothing' : word.outcome)
    }
    for (const listener of this.#waiting) listener(word)
  }

  #gone(worker: ChildProcess, how: string): void {
    this.#workers.delete(worker)
    if (this.#condemned.has(worker) || this.#isInterrupted) return
    this.troubles.push(`a process ended by itself: ${how}`)
  }

  /** Ctrl-C reaches the processes as well: from now on they may end by themselves. */
  interrupted(): void {
    this.#isInterrupted = true
  }

  #killLater(): void {
    this.#alarm = setTimeout(() => void this.#killOne(), randomInt(SOONEST_MS, LATEST_MS))
  }

  async #killOne(): Promise<void> {
    const workers = [...this.#workers.keys()]
    const worker = workers[randomInt(Math.max(1, workers.length))]
    if (worker !== undefined) await this.#kill(worker)
    if (this.#isEnded) return
    this.#hire()
    this.#killLater()
  }

  async #kill(worker: ChildProcess): Promise<void> {
    const underWay = this.#workers.get(worker)
    if (worker.exitCode !== null || worker.signalCode !== null) return
    const gone = once(worker, 'close')
    this.#condemned.add(worker)
    worker.kill('SIGKILL')
    await gone
    this.killed.all += 1
    if ((underWay?.size ?? 0) > 0) this.killed.busy += 1
  }
}
