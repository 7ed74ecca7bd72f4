/**
 * `assent/testing`: helpers for tests of programs that use Assent.
 *
 *   crashing             a process that dies at a message of the protocol, without a process
 *   settled              recovery, until nothing is left to recover
 *   throw-away-database  a database of a test's own
 */
export { crashing } from './crashing.ts'
export type { CrashPoint, CrashStep } from './crashing.ts'
export { settled } from './settled.ts'
export { throwAwayDatabase } from './throw-away-database.ts'
export type { ThrowAwayDatabase, ThrowAwayOptions } from './throw-away-database.ts'
