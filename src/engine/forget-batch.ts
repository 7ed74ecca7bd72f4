/**
 * Forgetting many decisions of one register at once.
 *
 * Owns: performing the messages of many machines, those to the same participant in one message.
 * Promises: an answer that is not certain is `unknown` to every machine that waited for it.
 */
import { assertNever, forgetting } from '../protocol/index.ts'
import type { AskAnswer } from '../protocol/index.ts'
import type { DecisionMark, Participant } from '../ports/index.ts'
import type { Alarms } from './alarms.ts'
import { inParallel } from './in-parallel.ts'
import { LIMITS } from './limits.ts'
import type { RecoverySetting } from './recover.ts'
import type { Troubles } from './troubles.ts'

interface Machine {
  readonly mark: DecisionMark
  state: forgetting.ForgettingState
}

/** Effects of many machines that one message to one participant can carry. */
interface Bundle {
  readonly send: forgetting.ForgettingEffect['send']
  /** The participant that is read or written. */
  readonly at: string
  readonly machines: Machine[]
}

type Learnt = readonly [Machine, forgetting.ForgettingEvent]

export interface BatchFacts {
  readonly app: string
  readonly setting: RecoverySetting
  readonly register: Participant
  readonly alarms: Alarms
  readonly troubles: Troubles
}

export class ForgettingBatch {
  readonly #facts: BatchFacts

  constructor(facts: BatchFacts) {
    this.#facts = facts
  }

  /** Takes each as far as it can be taken now. Never rejects. */
  async forget(marks: readonly DecisionMark[]): Promise<void> {
    const { register, setting } = this.#facts
    const begun = marks.map((mark): Learnt => {
      const others = mark.participants.filter((name) => name !== register.name)
      return [{ mark, state: forgetting.begin(others) }, { type: 'start' }]
    })
    let bundles = this.#step(begun)
    while (bundles.length > 0 && !setting.signal.aborted) {
      const answered = await Promise.all(bundles.map((bundle) => this.#perform(bundle)))
      bundles = this.#step(answered.flat())
    }
  }

  #step(events: readonly Learnt[]): readonly Bundle[] {
    const bundles = new Map<string, Bundle>()
    for (const [machine, event] of events) {
      const { state, effects } = forgetting.step(machine.state, event)
      machine.state = state
      for (const effect of effects) {
        const at = 'participant' in effect ? effect.participant : this.#facts.register.name
        const key = `${effect.send} ${at}`
        const bundle = bundles.get(key) ?? { send: effect.send, at, machines: [] }
        bundle.machines.push(machine)
        bundles.set(key, bundle)
      }
    }
    return [...bundles.values()]
  }

  async #perform(bundle: Bundle): Promise<readonly Learnt[]> {
    const { send, at, machines } = bundle
    const { register, alarms } = this.#facts
    const all = (event: (mark: DecisionMark) => forgetting.ForgettingEvent): Learnt[] =>
      machines.map((machine) => [machine, event(machine.mark)])
    const txids = machines.map(({ mark }) => mark.txid)
    switch (send) {
      case 'read-decision':
        // Its page was the durable reading, in which its epoch was not listed.
        return all(({ decision }) => ({
          type: 'decision-read',
          reading: { answer: 'found', decision, epoch: 'unlisted' },
        }))
      case 'read-receipt': {
        const present = await this.#attempt(at, (memory) => memory.present(txids))
        const read = (txid: string): 'found' | 'not seen' | 'unknown' =>
          present === 'unknown' ? present : present.has(txid) ? 'found' : 'not seen'
        return all(({ txid }) => ({ type: 'receipt-read', participant: at, answer: read(txid) }))
      }
      case 'ask-receipt':
      case 'ask-register':
        return this.#ask(bundle)
      case 'settle': {
        const settled = await this.#attempt(at, (memory) => memory.settle(txids))
        const isSettled = (txid: string): boolean => settled !== 'unknown' && settled.has(txid)
        return all(({ txid }) => ({
          type: 'settled',
          answer: isSettled(txid) ? 'done' : 'unknown',
        }))
      }
      case 'forget-receipt': {
        const forget = (memory: Participant['memory']): Promise<void> =>
          memory.forgetReceipts(register.name, txids)
        const answer = (await this.#attempt(at, forget)) ?? 'done'
        return all(() => ({ type: 'receipt-forgotten', participant: at, answer }))
      }
      case 'forget-decision': {
        const forget = (memory: Participant['memory']): Promise<void> =>
          memory.forgetDecisions(txids)
        const answer = (await this.#attempt(at, forget)) ?? 'done'
        return all(() => ({ type: 'decision-forgotten', answer }))
      }
      case 'alarm-lost-vote':
        for (const { mark } of machines) alarms.tell('lost-vote', at, register.name, mark)
        return []
      default:
        return assertNever(send)
    }
  }

  async #attempt<T>(
    name: string,
    work: (memory: Participant['memory']) => Promise<T>,
  ): Promise<T | 'unknown'> {
    const participant = this.#facts.setting.participants.get(name)
    return this.#facts.troubles.attempt(name, async () => {
      if (participant === undefined) throw new Error(`${name} is not configured here`)
      return work(participant.memory)
    })
  }

  async #ask({ send, at, machines }: Bundle): Promise<readonly Learnt[]> {
    const learnt: Learnt[] = []
    await inParallel(LIMITS.recoveriesAtOnce, machines, async (machine) => {
      const answer = await this.#askOne(at, machine.mark)
      const event: forgetting.ForgettingEvent =
        send === 'ask-register'
          ? { type: 'register-asked', answer }
          : { type: 'receipt-asked', participant: at, answer }
      learnt.push([machine, event])
    })
    return learnt
  }

  async #askOne(name: string, { txid, epoch }: DecisionMark): Promise<AskAnswer> {
    const { app, setting, register } = this.#facts
    const participant = setting.participants.get(name)
    if (participant === undefined) return { answer: 'unknown', cause: 'not configured' }
    return participant.ask({ txid, epoch, app, register: register.name })
  }
}
