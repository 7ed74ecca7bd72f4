/**
 * Owns: the worker processes: starting, killing, replacing and finishing them, and what they wrote.
 * Promises: a worker that is killed is replaced at once, until finish(); one that ends in any other
 * way, or says anything on its standard error, is a disagreement of its own.
 */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AnswerLogReader } from './answer-log.ts'
import type { Outcome, RecordedTransfer } from './answer-log.ts'
import { startChild } from './child-process.ts'
import type { Child } from './child-process.ts'
import type { Place } from './database.ts'
import type { WorkerOrder } from './worker.ts'
import { comesTrue } from './waiting.ts'

/** Why this instant was chosen. */
export type KillKind = 'random' | 'aimed'

export interface Kill {
  readonly kind: KillKind
  /** On performance.now(), right before the signal was sent. */
  readonly at: number
}

export interface Worker {
  readonly name: string
  readonly child: Child
  readonly log: AnswerLogReader
  readonly errorPath: string
  kill: Kill | undefined
  /** On performance.now(): when we learned that the process is gone. */
  exitedAt: number | undefined
}

export interface CrewSetting {
  readonly folder: string
  readonly places: readonly Place[]
  readonly seed: number
  readonly size: number
  /** Told when a killed worker's process is gone. */
  readonly onKilled: () => void
}

/** A transaction may take 30 s by default (timeoutMs), and close() 5 s. */
const FINISH_TIMEOUT_MS = 45_000
const LONGEST_ERROR = 2_000
/** After so many complaints nobody is replaced any more: something is broken from the start. */
const MOST_FAULTS = 20

export class Crew {
  readonly #setting: CrewSetting
  readonly #all: Worker[] = []
  readonly #owners = new Map<string, Worker>()
  readonly #transfers = new Map<string, RecordedTransfer>()
  readonly #faults: string[] = []
  readonly counts: Record<Outcome, number> = { committed: 0, aborted: 0, unknown: 0 }
  #stage: 'working' | 'finishing' = 'working'

  constructor(setting: CrewSetting) {
    this.#setting = setting
    for (let each = 0; each < setting.size; each += 1) this.#start()
  }

  get size(): number {
    return this.#setting.size
  }

  get alive(): readonly Worker[] {
    return this.#all.filter((worker) => worker.exitedAt === undefined && worker.kill === undefined)
  }

  /** Whether enough of them are past their start to make killing one worth it. */
  get isAtWork(): boolean {
    const begun = this.alive.filter(({ log }) => log.hasTransfers)
    return begun.length * 2 >= this.#setting.size
  }

  get killed(): readonly Worker[] {
    return this.#all.filter((worker) => worker.kill !== undefined)
  }

  /** How workers ended that should not have, and what they complained about. */
  get faults(): readonly string[] {
    return this.#faults
  }

  get transfers(): readonly RecordedTransfer[] {
    return this.#all.flatMap((worker) => [...worker.log.transfers])
  }

  ownerOf(txid: string): Worker | undefined {
    return this.#owners.get(txid)
  }

  transferOf(txid: string): RecordedTransfer | undefined {
    return this.#transfers.get(txid)
  }

  /** Reads what the living have written meanwhile. */
  readLogs(): void {
    for (const worker of this.#all) if (worker.exitedAt === undefined) this.#readLog(worker)
  }

  kill(worker: Worker, kind: KillKind): void {
    if (worker.exitedAt !== undefined || worker.kill !== undefined) return
    worker.kill = { kind, at: performance.now() }
    worker.child.kill('SIGKILL')
  }

  /** Asks all to finish what they have begun and to end. */
  async finish(signal: AbortSignal): Promise<void> {
    this.#stage = 'finishing'
    for (const { child } of this.#all) child.kill('SIGTERM')
    const areGone = (): boolean => this.#all.every((worker) => worker.exitedAt !== undefined)
    await comesTrue(areGone, FINISH_TIMEOUT_MS, signal)
    this.readLogs()
    for (const worker of this.alive) {
      const open = [...worker.log.transfers].filter(({ answer }) => answer === 'none')
      const which = open.map(({ transfer, txid }) => `${transfer.id} (${txid})`).join(', ')
      this.#faults.push(
        `${worker.name} did not end within ${FINISH_TIMEOUT_MS / 1_000} s of SIGTERM: ` +
          (which === '' ? 'closing Assent or its pools hangs' : `unanswered are ${which}`),
      )
      worker.child.kill('SIGKILL')
    }
    await comesTrue(areGone, FINISH_TIMEOUT_MS, signal)
  }

  /** For an interrupted demo: nothing of it is left, whatever they were doing. */
  async abandon(): Promise<void> {
    this.#stage = 'finishing'
    const isGone = (worker: Worker): boolean => worker.exitedAt !== undefined
    for (const { child } of this.#all) child.kill('SIGKILL')
    await comesTrue(() => this.#all.every(isGone), FINISH_TIMEOUT_MS, new AbortController().signal)
  }

  #start(): void {
    const { folder, places, seed } = this.#setting
    const ordinal = this.#all.length + 1
    const name = `worker-${ordinal}`
    const logPath = join(folder, `${name}.answers`)
    const errorPath = join(folder, `${name}.errors`)
    const log = new AnswerLogReader(logPath)
    const order: WorkerOrder = { name, ordinal, seed, places, logPath }
    const errors = openSync(errorPath, 'a')
    const child = startChild('./worker.ts', order, errors)
    closeSync(errors)
    const worker: Worker = { name, child, log, errorPath, kill: undefined, exitedAt: undefined }
    this.#all.push(worker)
    child.once('error', (error) => {
      this.#faults.push(`${name} could not be started: ${error.message}`)
      worker.exitedAt = performance.now()
    })
    child.once('exit', (code, signal) => {
      worker.exitedAt = performance.now()
      this.#readLog(worker)
      this.#judgeExit(worker, signal ?? `exit code ${String(code)}`)
    })
  }

  #judgeExit(worker: Worker, ending: string): void {
    const errors = readFileSync(worker.errorPath, 'utf8').trim()
    if (errors !== '') this.#faults.push(`${worker.name} said: ${errors.slice(0, LONGEST_ERROR)}`)
    if (!this.#isExpected(worker, ending)) this.#faults.push(`${worker.name} ended with ${ending}`)
    if (this.#stage === 'finishing') return
    if (this.#faults.length < MOST_FAULTS) this.#start()
    if (worker.kill !== undefined) this.#setting.onKilled()
  }

  #isExpected(worker: Worker, ending: string): boolean {
    if (worker.kill !== undefined) return ending === 'SIGKILL'
    if (this.#stage === 'working') return false
    // One that was still starting has no handler for SIGTERM yet.
    return ending === 'exit code 0' || (ending === 'SIGTERM' && !worker.log.hasTransfers)
  }

  #readLog(worker: Worker): void {
    for (const recorded of worker.log.read()) {
      this.#owners.set(recorded.txid, worker)
      this.#transfers.set(recorded.txid, recorded)
      if (recorded.answer !== 'none') this.counts[recorded.answer.outcome] += 1
    }
  }
}
