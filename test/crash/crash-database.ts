/**
 * Owns: one participant's server in a crash test, and what plain SQL says of it, whichever system it is.
 * Promises: it has a table of items with amounts; an item that a transaction has taken has the
 * amount 0, and one that was taken twice would be negative.
 * Never: uses Assent, so what it reports is a witness of its own.
 */
import type { LoopbackServer, Settings } from '../../harness/loopback-server.ts'
import type { Wire } from '../../harness/wire.ts'
import { MariadbCrashDatabase } from './mariadb-crash-database.ts'
import { PostgresCrashDatabase } from './postgres-crash-database.ts'

export type System = 'postgres' | 'mariadb' | 'mariadb with a binary log'

/** A name alone is PostgreSQL's. */
export type DatabaseSpec =
  | string
  | {
      readonly name: string
      readonly system: System
      readonly settings?: Settings
      readonly env?: Readonly<Record<string, string>>
    }

/** The sessions of one process: by the name that it gave itself, or by where they come from. */
export interface Sessions {
  readonly application: string
  readonly clientPorts: readonly number[]
}

export interface Database {
  readonly name: string
  readonly system: System
  readonly server: LoopbackServer
  readonly wire: Wire
  /** Where Assent and the items are. */
  readonly url: string
  /** Plain SQL, with the placeholders of the system: `$1` or `?`. */
  sql<Row extends object>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>
  addItems(items: readonly string[]): Promise<void>
  /** `isLocked`: somebody still holds the item's lock. */
  stateOf(item: string): Promise<{ readonly amount: number; readonly isLocked: boolean }>
  /** The decision in the transaction's mark, if there is one. */
  markOf(txid: string): Promise<string | undefined>
  newestEpoch(): Promise<string | undefined>
  /** What is prepared on the whole server: gids, or XA ids as `gtrid.bqual`. */
  prepared(): Promise<readonly string[]>
  /** Ends one of these by hand. */
  endByHand(listed: string, ending: 'COMMIT' | 'ROLLBACK'): Promise<void>
  countSessions(sessions: Sessions): Promise<number>
  close(): Promise<void>
}

export async function startDatabase(spec: DatabaseSpec): Promise<Database> {
  if (typeof spec === 'string') return PostgresCrashDatabase.start(spec)
  return spec.system === 'postgres'
    ? PostgresCrashDatabase.start(spec.name)
    : MariadbCrashDatabase.start(spec.name, spec.system, spec)
}

export function nameOfSpec(spec: DatabaseSpec): string {
  return typeof spec === 'string' ? spec : spec.name
}
