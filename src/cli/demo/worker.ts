/**
 * A process of the demonstration: moves coins until it is killed.
 *
 * Promises: tells of each transfer before it begins, and what became of it as soon as it knows; ends when
 * whoever started it is gone.
 */
import { setTimeout as rest } from 'node:timers/promises'
import { warnOf } from '../../engine/index.ts'
import type { Report } from '../../engine/index.ts'
import { AssentError } from '../../protocol/index.ts'
import type { ParticipantDefinition } from '../../ports/index.ts'
import { createAssent } from '../../transaction/create-assent.ts'
import type { Assent } from '../../transaction/create-assent.ts'
import { openUrl } from '../participants.ts'
import type { UrlParticipant } from '../participants.ts'
import { messageOf } from '../words.ts'
import { randomTransfer } from './coins.ts'

/** What a worker is started with. */
export interface Order {
  readonly app: string
  readonly participants: Readonly<Record<string, UrlParticipant>>
  readonly folder: string
}

/** What a worker says, of one transfer by its id. */
export type Word =
  | { readonly type: 'begins'; readonly id: string }
  /** A report that something was lost, or waits for a person. */
  | { readonly type: 'alarm'; readonly message: string }
  | {
      readonly type: 'ended'
      readonly id: string
      readonly outcome: 'committed' | 'aborted' | 'unknown'
      /** Why it was not committed: one line. */
      readonly message?: string
    }

/** Transfers of one worker that are under way at the same time. */
const LANES = 4
/** Before it is tried again where something failed. */
const REST_MS = 100

type Handle = { readonly query: (sql: string) => Promise<unknown> }
type Definitions = Record<string, ParticipantDefinition<Handle>>

process.once('message', (order) => {
  void work(order as Order)
})
process.once('disconnect', () => process.exit())

async function work({ app, participants, folder }: Order): Promise<void> {
  const definitions: Definitions = {}
  for (const [name, given] of Object.entries(participants)) {
    const { definition } = await openUrl(name, given, folder, LANES)
    definitions[name] = definition as ParticipantDefinition<Handle>
  }
  const assent = createAssent({ app, participants: definitions, onReport: hear })
  const databases = Object.keys(participants).sort()
  await Promise.all(Array.from({ length: LANES }, () => moveForEver(assent, databases)))
}

async function moveForEver(assent: Assent<Definitions>, databases: readonly string[]) {
  for (;;) {
    const { id, writes } = randomTransfer(databases)
    say({ type: 'begins', id })
    try {
      await assent.transaction(async (handles) => {
        for (const { database, statements } of writes) {
          for (const sql of statements) await handles[database]?.query(sql)
        }
      })
      say({ type: 'ended', id, outcome: 'committed' })
    } catch (error) {
      // A statement's own error, thrown on by the function: then everything is rolled back.
      const outcome = error instanceof AssentError ? error.outcome : 'aborted'
      say({ type: 'ended', id, outcome, message: messageOf(error) })
      await rest(REST_MS)
    }
  }
}

/** What a person would be warned of. */
function hear(report: Report): void {
  const message = warnOf(report)
  if (message !== undefined) say({ type: 'alarm', message })
}

function say(word: Word): void {
  process.send?.(word)
}
