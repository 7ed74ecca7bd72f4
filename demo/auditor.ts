/**
 * A process that took part in nothing, and asks Assent what became of the transactions whose
 * outcome was unknown.
 *
 * Owns: one line of ids in, one line of answers out.
 * Promises: like every process with the app's name, it recovers while it runs; it ends when its
 * input does.
 */
import { createInterface } from 'node:readline/promises'
import { connect } from './connect.ts'
import type { Place } from './database.ts'

export interface AuditorOrder {
  readonly places: readonly Place[]
}

/** What `assent.outcome()` answered, as data. */
export interface AskedOutcome {
  readonly id: string
  readonly outcome: 'committed' | 'aborted' | 'unknown'
  /** Why it is unknown, or ''. */
  readonly reason: string
}

const WAIT_MS = 10_000
const ASKED_AT_ONCE = 4

const order = JSON.parse(process.env['ASSENT_DEMO_ORDER'] ?? '{}') as AuditorOrder
process.on('SIGINT', () => undefined)
const { assent, close } = connect(order.places, 'auditor')
const lines = createInterface({ input: process.stdin })
for await (const line of lines) {
  const waiting = JSON.parse(line) as string[]
  const answers: AskedOutcome[] = []
  const asking = Array.from({ length: ASKED_AT_ONCE }, async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      answers.push(await ask(id))
    }
  })
  await Promise.all(asking)
  process.stdout.write(`${JSON.stringify(answers)}\n`)
}
await close()

async function ask(id: string): Promise<AskedOutcome> {
  const answer = await assent.outcome(id, { waitMs: WAIT_MS })
  return { id, outcome: answer.outcome, reason: 'reason' in answer ? answer.reason : '' }
}
