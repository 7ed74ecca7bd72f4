/**
 * Owns: the file in which one worker writes down every answer that it gets, and reading it.
 * Promises: a line is with the operating system before the worker goes on, so SIGKILL can't take it
 * back; a line that was cut by SIGKILL is not a line.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import type { Transfer } from './transfer.ts'

export type Outcome = 'committed' | 'aborted' | 'unknown'

export interface Answer {
  readonly outcome: Outcome
  /** What `assent.outcome()` can be asked with. */
  readonly transactionId: string
  /** The error's code; '' without an error. */
  readonly code: string
  /** The database that decided, of what was told committed; otherwise ''. */
  readonly decider: string
}

type Line =
  | { readonly event: 'begun'; readonly transfer: Transfer; readonly txid: string }
  | { readonly event: 'answered'; readonly transferId: string; readonly answer: Answer }

/** A transfer as its worker wrote it down. */
export interface RecordedTransfer {
  readonly transfer: Transfer
  readonly txid: string
  /** `none`: its worker was killed before it had an answer. */
  answer: Answer | 'none'
}

export class AnswerLogWriter {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  begun(transfer: Transfer, txid: string): void {
    this.#write({ event: 'begun', transfer, txid })
  }

  answered(transferId: string, answer: Answer): void {
    this.#write({ event: 'answered', transferId, answer })
  }

  #write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }
}

const CHUNK_BYTES = 65_536

/** Follows the file while it grows. */
export class AnswerLogReader {
  readonly #path: string
  readonly #chunk = Buffer.alloc(CHUNK_BYTES)
  readonly #transfers = new Map<string, RecordedTransfer>()
  #offset = 0
  #rest = Buffer.alloc(0)

  constructor(path: string) {
    this.#path = path
    closeSync(openSync(path, 'a'))
  }

  get transfers(): Iterable<RecordedTransfer> {
    return this.#transfers.values()
  }

  get hasTransfers(): boolean {
    return this.#transfers.size > 0
  }

  /** Reads what is new; returns the transfers that were begun or answered. */
  read(): readonly RecordedTransfer[] {
    const changed = new Set<RecordedTransfer>()
    const file = openSync(this.#path, 'r')
    try {
      for (;;) {
        const count = readSync(file, this.#chunk, 0, CHUNK_BYTES, this.#offset)
        if (count === 0) break
        this.#offset += count
        for (const line of this.#lines(this.#chunk.subarray(0, count))) {
          changed.add(this.#take(line))
        }
      }
    } finally {
      closeSync(file)
    }
    return [...changed]
  }

  *#lines(chunk: Buffer): Iterable<Line> {
    let rest = Buffer.concat([this.#rest, chunk])
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield JSON.parse(rest.toString('utf8', 0, end)) as Line
      rest = rest.subarray(end + 1)
    }
    this.#rest = rest
  }

  #take(line: Line): RecordedTransfer {
    if (line.event === 'begun') {
      const { transfer, txid } = line
      if (this.#transfers.has(transfer.id)) throw new Error(`${transfer.id} was begun twice`)
      const recorded: RecordedTransfer = { transfer, txid, answer: 'none' }
      this.#transfers.set(transfer.id, recorded)
      return recorded
    }
    const recorded = this.#transfers.get(line.transferId)
    if (recorded === undefined) throw new Error(`${line.transferId} was answered, never begun`)
    if (recorded.answer !== 'none') throw new Error(`${line.transferId} was answered twice`)
    recorded.answer = line.answer
    return recorded
  }
}
