/**
 * Owns: how a process of the demo connects: an ordinary pool for each database, and Assent with its
 * defaults.
 */
import { createAssent } from 'assent'
import type { ParticipantDefinition } from 'assent'
import { APP } from './bank.ts'
import type { Place } from './database.ts'
import { openMariadb } from './mariadb/participant.ts'
import { openPostgres } from './postgres/participant.ts'

/** What a transfer does in one database, in that one's own SQL. */
export interface Hand {
  enter(transfer: string, account: number, amount: number): Promise<void>
  /** False if the account has too little. */
  move(account: number, amount: number): Promise<boolean>
}

/** A pool with its participant. */
export interface Opened<Handle> {
  readonly participant: ParticipantDefinition<Handle>
  /** Made of what `transaction()` gives. */
  readonly handOf: (handle: Handle) => Hand
  readonly close: () => Promise<void>
}

export type Handles = Readonly<Record<string, unknown>>
/** By the database's name, in the order that rows are locked in. */
export type Hands = ReadonlyMap<string, Hand>

/** `name` is what the outside observer knows this process by. */
export function connect(places: readonly Place[], name: string) {
  const opened = new Map(places.map((place) => [place.name, open(place, name)]))
  const assent = createAssent({
    app: APP,
    participants: Object.fromEntries(
      [...opened].map(([database, { participant }]) => [database, participant]),
    ),
  })
  const handsOf = (handles: Handles): Hands =>
    new Map([...opened].map(([database, { handOf }]) => [database, handOf(handles[database])]))
  const close = async (): Promise<void> => {
    await assent.close()
    await Promise.all([...opened.values()].map((each) => each.close()))
  }
  return { assent, handsOf, close }
}

/** Each is only ever given the handles of its own participant. */
function open({ system, url }: Place, name: string): Opened<unknown> {
  return (system === 'postgres' ? openPostgres(url, name) : openMariadb(url)) as Opened<unknown>
}
