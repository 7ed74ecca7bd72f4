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

/** Whether every fact of the message's row holds. */
export function mayLeave<Message extends string, Fact>(
  ordering: Table<Message, Fact>,
  message: Message,
  holds: (fact: Fact) => boolean,
): boolean {
  return ordering[message].after.every(holds)
}

/** A record with one entry for each name. */
export function each<T>(names: readonly string[], value: T): Readonly<Record<string, T>> {
  return Object.fromEntries(names.map((name) => [name, value]))
}

/** Whether every entry of a record passes. */
export function every<T>(
  record: Readonly<Record<string, T>>,
  test: (value: T) => boolean,
): boolean {
  return Object.values(record).every(test)
}
