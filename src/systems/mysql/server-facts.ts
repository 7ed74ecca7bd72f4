/**
 * What must be known of a connection before anything is done on it: which server answers there.
 *
 * Owns: reading it, once for each physical connection; the oldest versions that will do.
 * Promises: `owner` names this connection among all that this server, and any other, ever had.
 */
import { AssentError } from '../../protocol/index.ts'
import type { Link, Reply } from './driver.ts'
import { causeOf } from './answers.ts'
import { IDLE_VARIABLE } from './idle.ts'
import type { Owner } from './xid.ts'

export interface ServerFacts {
  readonly flavour: 'mariadb' | 'mysql'
  /** As the server says it. */
  readonly version: string
  readonly owner: Owner
  readonly access: 'writable' | 'read-only'
  /** Whether commits are also written to a binary log, which has its own say after a crash. */
  readonly binlog: 'on' | 'off'
  /** What the session had before a branch was begun on it: see `idle.ts`. In seconds. */
  readonly idleSeconds: number
}

const known = new WeakMap<object, ServerFacts>()

/** What is known already, and lasts as long as the connection. (A replica may have been promoted.) */
export function knownFacts(link: Link): ServerFacts | undefined {
  const facts = known.get(link.key)
  return facts?.access === 'writable' ? facts : undefined
}

/** @throws AssentError `ASSENT_UNSUPPORTED`, or whatever the server answered instead */
export async function readFacts(name: string, link: Link): Promise<ServerFacts> {
  const [first] = rowsOf(
    await link.send('SELECT VERSION(), CONNECTION_ID(), @@global.read_only, @@global.log_bin'),
  )
  // Its own word for the connection: a proxy tells its clients numbers of its own making.
  const [version, connection, readOnly, binlog] = first ?? []
  if (first === undefined) throw new Error('SELECT gave no row: is sql_select_limit 0?')
  const flavour = /mariadb/i.test(version ?? '') ? 'mariadb' : 'mysql'
  requireVersion(name, flavour, version ?? 'unknown')
  // Both are of this statement's own moment, so that their difference never varies.
  const schema = flavour === 'mariadb' ? 'information_schema' : 'performance_schema'
  const [second] = rowsOf(
    await link.send(
      `SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE, @@session.${IDLE_VARIABLE[flavour]}
FROM ${schema}.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'`,
    ),
  )
  const start = Math.round(Number(second?.[0]))
  if (!(start > 0) || !Number.isSafeInteger(start)) {
    throw new Error('the server’s start can’t be told: does the session set `timestamp`?')
  }
  const facts: ServerFacts = {
    flavour,
    version: version ?? 'unknown',
    owner: { connection: Number(connection), start },
    access: isOff(readOnly) ? 'writable' : 'read-only',
    binlog: binlog === '0' ? 'off' : 'on',
    idleSeconds: Number(second?.[1]),
  }
  known.set(link.key, facts)
  return facts
}

/** A flag, or on newer servers a word. */
export function isOff(readOnly: string | null | undefined): boolean {
  return readOnly === '0' || readOnly === 'OFF'
}

/** The oldest that keep a prepared branch over a disconnect and a crash. */
const OLDEST = { mariadb: [10, 6, 0], mysql: [8, 0, 30] } as const

function requireVersion(name: string, flavour: 'mariadb' | 'mysql', version: string): void {
  const given = version.split(/[.-]/).map(Number)
  for (const [at, least] of OLDEST[flavour].entries()) {
    const part = given[at] ?? 0
    if (part > least) return
    if (part < least) throw tooOld(name, flavour, version)
  }
}

function tooOld(name: string, flavour: 'mariadb' | 'mysql', version: string): AssentError {
  const [product, why] =
    flavour === 'mariadb'
      ? ['MariaDB 10.6', 'older ones lose locks of prepared branches at a restart']
      : ['MySQL 8.0.30', 'older ones can lose a prepared branch, or its place in the binary log']
  return new AssentError({
    code: 'ASSENT_UNSUPPORTED',
    outcome: 'aborted',
    message: `Participant ${name} is ${flavour} ${version}. Assent needs ${product} or newer: ${why}.`,
  })
}

/** @throws what was answered instead */
export function rowsOf(reply: Reply): readonly (readonly (string | null)[])[] {
  if (reply.kind === 'answered') return reply.rows
  throw causeOf(reply)
}
