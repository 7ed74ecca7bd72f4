/**
 * Looking for receipts whose decision is gone.
 *
 * Owns: performing the machine's questions, most of them for many receipts at once.
 * Never: deletes or ends anything.
 */
import { assertNever, witness } from '../protocol/index.ts'
import type { AskAnswer, WitnessMessage } from '../protocol/index.ts'
import type { Participant, ReceiptMark } from '../ports/index.ts'
import type { Alarms } from './alarms.ts'
import { inParallel } from './in-parallel.ts'
import { LIMITS } from './limits.ts'
import type { Troubles } from './troubles.ts'

export interface WitnessFacts {
  readonly app: string
  /** Has the receipts. */
  readonly participant: Participant
  /** Should have the decisions. */
  readonly register: Participant
  readonly alarms: Alarms
  readonly troubles: Troubles
}

export interface LookFacts extends Omit<WitnessFacts, 'register'> {
  readonly participants: ReadonlyMap<string, Participant>
  readonly signal: AbortSignal
}

/** Every receipt of a participant that is older, page by page. @throws when they can't be read */
export async function lookThroughReceipts(facts: LookFacts, olderThanMs: number): Promise<void> {
  const { participant, participants, signal } = facts
  let from: string | undefined
  do {
    const page = await participant.memory.receipts(olderThanMs, from)
    for (const [name, marks] of Map.groupBy(page.marks, (mark) => mark.register)) {
      const register = participants.get(name)
      // Its own processes have it configured.
      if (register !== undefined) await lookForDecisions({ ...facts, register }, marks)
    }
    from = page.next
  } while (from !== undefined && !signal.aborted)
}

/** Never rejects. `marks` were read durably at the participant. */
async function lookForDecisions(facts: WitnessFacts, marks: readonly ReceiptMark[]): Promise<void> {
  const { register, troubles } = facts
  const txids = marks.map(({ txid }) => txid)
  const decided = await troubles.attempt(register.name, () => register.memory.present(txids))
  if (decided === 'unknown') return
  // Nearly all have their decision; only of the others the whole question is asked.
  const missing = marks.filter(({ txid }) => !decided.has(txid))
  await inParallel(LIMITS.recoveriesAtOnce, missing, (mark) => lookForDecision(facts, mark))
}

async function lookForDecision(facts: WitnessFacts, mark: ReceiptMark): Promise<void> {
  const { participant, register, alarms } = facts
  let { state, effects } = witness.step(witness.UNREAD, { type: 'start' })
  for (let message = effects[0]; message !== undefined; message = effects[0]) {
    if (message === 'alarm-lost-decision') {
      alarms.tell('lost-decision', participant.name, register.name, mark)
      return
    }
    const event = await perform(message, facts, mark)
    ;({ state, effects } = witness.step(state, event))
  }
}

async function perform(
  message: Exclude<WitnessMessage, 'alarm-lost-decision'>,
  { app, participant, register }: WitnessFacts,
  { txid, epoch }: ReceiptMark,
): Promise<witness.WitnessEvent> {
  const ask = (at: Participant): Promise<AskAnswer> =>
    at.ask({ txid, epoch, app, register: register.name })
  switch (message) {
    case 'read-receipt':
      // Its page was the durable reading.
      return { type: 'receipt-read', answer: 'found' }
    case 'ask-register':
      return { type: 'register-asked', answer: await ask(register) }
    case 'ask-receipt-again':
      return { type: 'receipt-asked', answer: await ask(participant) }
    default:
      return assertNever(message)
  }
}
