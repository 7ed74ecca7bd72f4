/**
 * A process that dies at a message of the protocol, inside of a process that lives on.
 *
 * Owns: where it dies, and being dead.
 * Promises: what the participants of a dead process had still to send is never sent; its connections
 * are cut, as the end of a process would cut them; it answers nobody and recovers nothing.
 * Never: undoes anything. What was durable stays so, for another Assent object to find.
 */
import { AssentError, formatTransactionId } from '../protocol/index.ts'
import type {
  Mark,
  Participant,
  ParticipantContext,
  ParticipantDefinition,
} from '../ports/index.ts'
import { DoomedParticipant } from './doomed-participant.ts'

/** The messages of the ordering table at which a transaction can be crashed. */
const STEPS = [
  'before claim',
  'after claim',
  'before vote',
  'after vote',
  'before decide',
  'after decide',
  'before apply',
  'after apply',
] as const

/**
 * A moment in a commit: `before` nothing of the message was sent, `after` it was answered yes.
 *
 * - `claim`: the decider's row is in its open transaction, so that a commit would be the decision.
 * - `vote`: a database that does not decide has prepared its part. In doubt from here on.
 * - `decide`: the commit that decides; or the only one, where one database wrote.
 * - `apply`: a prepared part is committed.
 */
export type CrashStep = (typeof STEPS)[number]

/** Where `crashing` crashes. */
export interface CrashPoint<Name extends string = string> {
  readonly at: CrashStep
  /** Whose message it is. Default: whoever comes to it first. */
  readonly participant?: Name
}

type Definitions = Readonly<Record<string, ParticipantDefinition<unknown>>>

/**
 * Participants of a process that will die: the first transaction that comes to this point rejects with
 * `ASSENT_CRASHED`, its connections are cut, and nothing more is ever said by this Assent object. What
 * it leaves behind is for another one, of the same app and over the same databases.
 *
 * @throws AssentError `ASSENT_OPTION` for an unknown step or participant
 * @example
 * ```ts
 * import pg from 'pg'
 * import { createAssent } from 'assent'
 * import { pg as postgres } from 'assent/pg'
 * import { crashing, settled } from 'assent/testing'
 *
 * const participants = {
 *   orders: postgres(new pg.Pool({ connectionString: process.env['ORDERS_URL'] })),
 *   stock: postgres(new pg.Pool({ connectionString: process.env['STOCK_URL'] })),
 * }
 * const doomed = createAssent({
 *   app: 'shop',
 *   participants: crashing(participants, { at: 'after decide' }),
 * })
 * const survivor = createAssent({ app: 'shop', participants })
 * await doomed
 *   .transaction(async ({ orders, stock }) => {
 *     await orders.query('insert into orders (sku) values ($1)', ['A-1'])
 *     await stock.query('update stock set free = free - 1 where sku = $1', ['A-1'])
 *   })
 *   .catch((error: unknown) => error)
 * await settled(survivor)
 * ```
 */
export function crashing<const D extends Definitions>(
  participants: D,
  point: CrashPoint<keyof D & string>,
): D {
  const names = Object.keys(participants)
  check(point, names)
  const doom = new Doom(point)
  const doomed = names.map((name) => {
    const definition = participants[name]
    if (definition === undefined) throw wrong(`no participant ${name}`, 'participants by name')
    const open = (context: ParticipantContext): Participant =>
      new DoomedParticipant(definition.open(context), doom)
    return [name, { ...definition, open }] as const
  })
  // Each has the handle of the definition that it was made of.
  return Object.fromEntries(doomed) as unknown as D
}

/** The one death of all the participants of a process. */
export class Doom {
  readonly #point: CrashPoint
  readonly #whenDead = new Set<() => void>()
  #error: AssentError | undefined
  #transactionId: string | undefined

  constructor(point: CrashPoint) {
    this.#point = point
  }

  /** What whoever still waits is told; undefined while the process lives. */
  get error(): AssentError | undefined {
    return this.#error
  }

  /** The id by which the transaction can be asked for, once it is known. */
  learn({ id }: Mark): void {
    this.#transactionId ??= formatTransactionId(id)
  }

  /** @returns a function that calls it off */
  whenDead(then: () => void): () => void {
    this.#whenDead.add(then)
    return () => this.#whenDead.delete(then)
  }

  /** Dies here, if this is the point. */
  pass(step: CrashStep, participant: string): void {
    const { at, participant: where } = this.#point
    if (this.#error !== undefined || at !== step) return
    if (where !== undefined && where !== participant) return
    this.#error = new AssentError({
      code: 'ASSENT_CRASHED',
      outcome: 'unknown',
      transactionId: this.#transactionId,
      message:
        `Crashed ${step} of ${participant}, as a test asked for. Another Assent object of the same ` +
        `app finds what is left`,
    })
    for (const then of this.#whenDead) then()
  }
}

function check(given: unknown, names: readonly string[]): void {
  const point = given as Partial<Record<'at' | 'participant', unknown>> | null | undefined
  const { at, participant } = typeof point === 'object' && point !== null ? point : {}
  if (!(STEPS as readonly unknown[]).includes(at)) {
    throw wrong(`at: ${JSON.stringify(at)}`, `one of ${STEPS.join(', ')}`)
  }
  if (participant !== undefined && !names.includes(participant as string)) {
    throw wrong(`participant: ${JSON.stringify(participant)}`, `one of ${names.join(', ')}`)
  }
}

function wrong(given: string, expected: string): AssentError {
  return new AssentError({
    code: 'ASSENT_OPTION',
    outcome: 'aborted',
    message: `crashing() was given ${given}. Expected ${expected}.`,
  })
}
