/**
 * Owns: what a database of the bank is to whoever looks at it from outside, whichever system it is.
 * Promises: shares no code with Assent. What the observer and the proof see, they see through here,
 * by plain SQL on connections of their own.
 */
import { connectToMariadb } from './mariadb/plain-sql.ts'
import { connectToPostgres } from './postgres/plain-sql.ts'

/** What `--databases` may name. */
export const SYSTEMS = ['postgres', 'mariadb'] as const
export type System = (typeof SYSTEMS)[number]

/** Where a process of the demo finds one. */
export interface Place {
  readonly name: string
  readonly system: System
  readonly url: string
  /** Whether it can keep a prepared branch. */
  readonly prepares: boolean
}

export type Row = Readonly<Record<string, unknown>>

/** A branch of Assent's that is prepared. */
export interface SeenBranch {
  readonly gid: string
  readonly txid: string
  /** Whether a message that this worker had already sent could still end it. */
  readonly isReachedBy: (worker: string) => boolean
}

export interface PlainSql {
  rows(sql: string): Promise<readonly Row[]>
  /** What is prepared now. */
  look(): Promise<readonly SeenBranch[]>
  /** In words: whatever is prepared, of anybody, or holds locks like something prepared. */
  leftPrepared(): Promise<readonly string[]>
  /** In words: the sessions of all others. */
  otherSessions(): Promise<readonly string[]>
  close(): Promise<void>
}

export interface PlainOptions {
  /** What its session is known by, where sessions have names. */
  readonly as: string
  /** How long connecting and each answer may take. Default: as long as they like. */
  readonly timeoutMs?: number
}

export function connectPlainly(place: Place, options: PlainOptions): Promise<PlainSql> {
  const { system, url } = place
  return system === 'postgres' ? connectToPostgres(url, options) : connectToMariadb(url, options)
}
