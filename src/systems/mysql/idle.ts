/**
 * After how long the server ends a session that is idle inside a branch, and with it what a vanished client
 * holds.
 *
 * Owns: setting that time-out for a branch, and setting it back; whether either is needed.
 * Promises: a branch's session is never ended before the branch's own time is over.
 */
import type { ServerFacts } from './server-facts.ts'

/**
 * MySQL has no time-out for what is idle inside a transaction: what it ends is a session that is idle for so
 * long, whatever it does.
 */
export const IDLE_VARIABLE = { mariadb: 'idle_transaction_timeout', mysql: 'wait_timeout' } as const

/** What a branch may be idle for beyond its time: the server then frees it. In seconds. */
export const IDLE_MARGIN_S = 5

/**
 * What is to be said before a branch begins; nothing, if the session's own time-out is as good: on MariaDB, where it
 * is about transactions alone.
 */
export function lendIdleSql(
  { flavour, idleSeconds }: ServerFacts,
  timeoutMs: number,
): string | undefined {
  const seconds = timeoutMs / 1_000
  const most = Math.ceil(seconds + IDLE_MARGIN_S)
  const isGood = flavour === 'mariadb' && idleSeconds >= seconds && idleSeconds <= most
  return isGood ? undefined : `SET SESSION ${IDLE_VARIABLE[flavour]} = ${most}`
}

export function giveBackIdleSql({ flavour, idleSeconds }: ServerFacts): string {
  return `SET SESSION ${IDLE_VARIABLE[flavour]} = ${idleSeconds}`
}
