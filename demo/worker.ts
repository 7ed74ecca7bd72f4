/**
 * A worker process: transfers money until it is killed, or asked by SIGTERM to finish.
 *
 * Owns: a few transfers at a time, and writing down what became of each before it goes on.
 * Promises: everything that it was told is in its answer log; it ends by itself when its parent is
 * gone, or once it was asked to finish and nothing keeps it busy.
 */
import { AssentError } from 'assent'
import type { Plan } from 'assent'
import { AnswerLogWriter } from './answer-log.ts'
import type { Answer } from './answer-log.ts'
import { connect } from './connect.ts'
import type { Place } from './database.ts'
import { Random } from './random.ts'
import { chooseTransfer, deciderOf, makeTransfer } from './transfer.ts'

export interface WorkerOrder {
  readonly name: string
  readonly ordinal: number
  readonly seed: number
  readonly places: readonly Place[]
  readonly logPath: string
}

/** Transfers that one worker makes at the same time. */
const TRANSFERS_AT_ONCE = 8
/** One caller in twenty gives up while it waits, as one does whose browser tab was closed. */
const IMPATIENT = 0.05
const PATIENCE_MS = { least: 10, most: 300 }
/** A client that was refused waits a moment, as any client should; a committed one never does. */
const LONGEST_PAUSE_MS = 100

/** Aborted by the transfer itself, or by its caller: nothing that waiting would help. */
const CALM: ReadonlySet<string> = new Set(['ASSENT_ABORTED', 'ASSENT_CANCELLED'])

const order = JSON.parse(process.env['ASSENT_DEMO_ORDER'] ?? '{}') as WorkerOrder
const log = new AnswerLogWriter(order.logPath)
const random = new Random(order.seed, order.ordinal)
const names = order.places.map(({ name }) => name)
const { assent, handsOf, close } = connect(order.places, order.name)
let isFinishing = false
let made = 0

// Ctrl-C reaches the whole process group; the parent decides what happens.
process.on('SIGINT', () => undefined)
process.once('SIGTERM', () => {
  isFinishing = true
})
// The parent holds the other end for as long as it lives.
process.stdin.once('end', () => process.exit(1)).resume()

const lanes = Array.from({ length: TRANSFERS_AT_ONCE }, async () => {
  while (!isFinishing) {
    const answer = await transferOnce()
    if (answer.outcome === 'committed' || CALM.has(answer.code)) continue
    await new Promise((resolve) => setTimeout(resolve, random.next() * LONGEST_PAUSE_MS))
  }
})
await Promise.all(lanes)
await close()
process.stdin.destroy()

async function transferOnce(): Promise<Answer> {
  made += 1
  const transfer = chooseTransfer(`${order.ordinal}-${made}`, names, random)
  const isImpatient = random.chance(IMPATIENT)
  const patienceMs = random.between(PATIENCE_MS.least, PATIENCE_MS.most)
  const decider = deciderOf(transfer, order.places, random)
  const options = {
    ...(isImpatient && { signal: AbortSignal.timeout(patienceMs) }),
    ...(decider !== undefined && { decider }),
  }
  let txid = ''
  let plan: Plan | undefined
  let answer: Answer
  try {
    await assent.transaction(async (handles, tx) => {
      txid = tx.id
      log.begun(transfer, txid)
      tx.onCommitted(() => {
        plan = tx.plan
      })
      await makeTransfer(handsOf(handles), tx, transfer)
    }, options)
    const by = plan?.protocol === 'two-phase' ? plan.decider : ''
    answer = { outcome: 'committed', transactionId: txid, code: '', decider: by }
  } catch (error) {
    answer = answerOf(error, txid)
  }
  log.answered(transfer.id, answer)
  return answer
}

/** An error of our own function comes through as it is: then everything was rolled back. */
function answerOf(error: unknown, txid: string): Answer {
  if (error instanceof AssentError) {
    const { outcome, code } = error
    return { outcome, transactionId: error.transactionId ?? txid, code, decider: '' }
  }
  const isServers = error instanceof Error && 'code' in error
  const code = isServers ? String(error.code) : 'connection lost'
  return { outcome: 'aborted', transactionId: txid, code, decider: '' }
}
