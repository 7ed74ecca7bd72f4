/**
 * BEGIN of a branch: what it says, and sending it by itself.
 *
 * Owns: the statements that begin a branch, and what is a yes of them.
 * Promises: whether the transaction has begun is only said once the server is ready again.
 */
import type { JoinRequest } from '../../ports/index.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import type { PgClient } from './driver.ts'
import { BIND_PROOF, WATCH, setIdle } from './mark.ts'
import { send } from './message.ts'
import { tagCount } from './wire.ts'
import type { Statement } from './wire.ts'

/** What a branch's idle time-outs add to the time that the transaction has left. */
export const IDLE_MARGIN_MS = 5_000

/** Whether a transaction was begun. */
export type Begun =
  /** `ctid`: where the claim is, if one travelled with it and was written. */
  | { readonly kind: 'begun'; readonly ctid: string | undefined }
  /** Not begun, or not as it must be: the connection is of no use. */
  | { readonly kind: 'failed'; readonly cause: unknown }
  /** The connection ended before an answer to BEGIN: whatever had begun is rolled back. */
  | { readonly kind: 'lost'; readonly cause: unknown }
  /** The driver could not even write the user's statement: its values can't be sent. */
  | { readonly kind: 'unwritten' }
  /** The driver waits no longer (`query_timeout`), and the server may still be at work on it. */
  | { readonly kind: 'unanswered'; readonly cause: unknown }

/**
 * Only utility statements, so that no snapshot is taken before the user's first statement (SET
 * TRANSACTION and LOCK TABLE must still be able to come first).
 *
 * The time-outs make the server end the session of a client that vanished: while idle, while it
 * waits for the network, and (on Linux) while it runs a statement for nobody. Rounded up to whole
 * seconds, so that the same text comes again: what is left of a time-out differs each time.
 */
export function beginStatements(
  request: Pick<JoinRequest, 'isolation' | 'access' | 'timeoutMs'>,
  connection: ConnectionFacts,
  watch: Beginning['watch'],
): readonly Statement[] {
  const { isolation, access, timeoutMs } = request
  const idleMs = Math.ceil(timeoutMs / 1_000) * 1_000 + IDLE_MARGIN_MS
  const wanted: Beginning = { isolation, access, idleMs, watch }
  const made = beginnings.get(connection) ?? []
  const same = made.find(({ begun }) => isSame(begun, wanted))
  if (same !== undefined) return same.statements
  const statements = makeStatements(wanted, connection)
  beginnings.set(connection, [{ begun: wanted, statements }, ...made.slice(0, MOST_BEGINNINGS - 1)])
  return statements
}

/** All that the statements depend on, on one connection. */
interface Beginning {
  readonly isolation: JoinRequest['isolation']
  readonly access: JoinRequest['access']
  readonly idleMs: number
  readonly watch: 'watched' | 'not watched'
}

function isSame(one: Beginning, other: Beginning): boolean {
  return (
    one.watch === other.watch &&
    one.idleMs === other.idleMs &&
    one.access === other.access &&
    one.isolation === other.isolation
  )
}

/**
 * The last few of each connection: it decides now, votes then, and reads another time. Of a list that
 * was given before, the bytes are kept (see `Wire`).
 */
const beginnings = new WeakMap<ConnectionFacts, readonly Made[]>()
const MOST_BEGINNINGS = 4

interface Made {
  readonly begun: Beginning
  readonly statements: readonly Statement[]
}

function makeStatements(
  { isolation, access, idleMs, watch }: Beginning,
  { timeouts, route }: ConnectionFacts,
): readonly Statement[] {
  const begin = [
    'BEGIN',
    ...(isolation === undefined ? [] : [`ISOLATION LEVEL ${isolation.toUpperCase()}`]),
    ...(access === 'read' ? ['READ ONLY'] : []),
  ].join(' ')
  // A session of our own has them already (see connection-facts).
  const settings = route === 'pooler' ? livenessSettings(timeouts) : []
  return [
    { text: begin, again: true, tag: 'BEGIN' },
    BIND_PROOF,
    setIdle(idleMs),
    ...settings.map(([name, value]) => ({ text: `SET LOCAL ${name} = ${value}` })),
    ...(watch === 'watched' ? [WATCH] : []),
  ]
}

/** After how long the server ends the session of a client that does not answer any more. */
export function livenessSettings(
  timeouts: ConnectionFacts['timeouts'],
): readonly (readonly [string, number])[] {
  return [
    ['tcp_keepalives_idle', 10],
    ['tcp_keepalives_interval', 5],
    ['tcp_keepalives_count', 3],
    ...(timeouts === 'all'
      ? ([
          ['tcp_user_timeout', 25_000],
          ['client_connection_check_interval', 1_000],
        ] as const)
      : []),
  ]
}

/** Sends the statements by themselves. Never rejects. */
export async function beginAlone(
  client: PgClient,
  statements: readonly Statement[],
): Promise<Begun> {
  const reply = await send(client, statements)
  if (reply.kind === 'lost') return { kind: 'lost', cause: reply.cause }
  if (reply.error !== undefined) return { kind: 'failed', cause: reply.error }
  const isFresh = reply.warnings.every((warning) => warning.during !== 0)
  const isBegun = reply.status === 'T' && areBegun(reply.tags, tagCount(statements))
  if (isFresh && isBegun) return { kind: 'begun', ctid: undefined }
  return { kind: 'failed', cause: notBegun(reply.tags) }
}

/** Whether these are the answers to BEGIN, its settings, and a claim if there is one. */
export function areBegun(tags: readonly string[], count: number, claim?: Statement): boolean {
  const claimAt = claim === undefined ? count : count - 1
  return (
    tags.length === count &&
    tags.every((tag, at) => {
      if (at === 0) return tag === 'BEGIN'
      return at < claimAt ? tag === 'SET' : tag.startsWith('INSERT ')
    })
  )
}

export function notBegun(tags: readonly string[], warning?: string): Error {
  const said = warning === undefined ? '' : `; warning: ${warning}`
  return new Error(`PostgreSQL answered BEGIN with ${tags.join(', ') || 'nothing'}${said}`)
}
