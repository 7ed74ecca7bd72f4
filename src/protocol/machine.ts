/**
 * How every machine of the protocol moves: record what was answered, then send what is due.
 *
 * Owns: reading the ordering table.
 * Promises: `mayLeave` is true only if each fact of the message's row holds.
 * Never: has a rule of its own.
 */
import type { Table } from './ordering.ts'

/** Where one message to one branch stands. */
export type Sent = 'unsent' | 'sent' | 'yes' | 'no' | 'unknown'

/** Whether every fact of the message's row holds, in this state and for this branch. */
export function mayLeave<Message extends string, Fact, State, Branch>(
  ordering: Table<Message, Fact>,
  message: Message,
  holds: (fact: Fact, state: State, branch: Branch) => boolean,
  state: State,
  branch: Branch,
): boolean {
  for (const fact of ordering[message].after) if (!holds(fact, state, branch)) return false
  return true
}

/** A record with one entry for each name. */
export function each<T>(names: readonly string[], value: T): Readonly<Record<string, T>> {
  const record: Record<string, T> = {}
  for (const name of names) record[name] = value
  return record
}

/** Whether every entry of a record passes. */
export function every<T>(
  record: Readonly<Record<string, T>>,
  test: (value: T) => boolean,
): boolean {
  for (const value of Object.values(record)) if (!test(value)) return false
  return true
}
