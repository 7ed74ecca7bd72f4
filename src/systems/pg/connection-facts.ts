/**
 * What must be known of a physical connection before a branch begins on it.
 *
 * Owns: reading it, once per connection: a server that restarts with other settings ends its
 * connections. And what is set once per connection: after how long the server ends the session of a
 * client that does not answer any more, and the names of our statements.
 */
import { AssentError } from '../../protocol/index.ts'
import { livenessSettings } from './begin.ts'
import type { PgClient } from './driver.ts'
import { REPLICATION, WATCHED, replicationOf } from './mark.ts'
import type { Replication } from './mark.ts'
import { send } from './message.ts'
import { NAMED_TEXTS } from './named-endings.ts'
import { Wire } from './wire.ts'

export interface ConnectionFacts {
  /** Whether the server keeps prepared transactions at all. */
  readonly canPrepare: boolean
  readonly role: 'primary' | 'replica'
  /** Whether the server knows the Linux time-outs that free a vanished client's session. */
  readonly timeouts: 'all' | 'portable'
  /**
   * Whether COMMIT PREPARED can be sent on this connection as it is: as the role that logs in, with
   * warnings on, waiting for the disk; and whether the end of a transaction is reported. Behind a
   * pooler it can't: the next message may meet another session of the server, with whatever settings
   * its last client left there.
   */
  readonly session: 'plain' | 'special'
  /**
   * `pooler`: another process stands between, which gives the next transaction to another session. So
   * nothing may be set or parsed for longer than a transaction.
   */
  readonly route: 'direct' | 'pooler'
  /** Whether a COMMIT waits for standbys, as of when the connection was made. */
  readonly replication: Replication
}

const FACTS = `SELECT pg_catalog.current_setting('server_version_num')::int,
  pg_catalog.current_setting('max_prepared_transactions')::int,
  pg_catalog.pg_is_in_recovery()::text,
  pg_catalog.version(),
  (current_user = session_user
    AND pg_catalog.current_setting('client_min_messages') NOT IN ('error', 'fatal', 'panic')
    AND pg_catalog.current_setting('synchronous_commit') IN ('on', 'remote_apply')
    AND pg_catalog.current_setting('${WATCHED}') = 'off')::text,
  pg_catalog.pg_backend_pid()::text,
  ${REPLICATION},
  ${NAMED_TEXTS}`

const OLDEST = 140_000
const known = new WeakMap<PgClient, ConnectionFacts>()

/**
 * What is known already, and lasts as long as the connection, unless another user of the pool resets
 * its settings. (A replica may have been promoted since.)
 */
export function knownFacts(client: PgClient): ConnectionFacts | undefined {
  const facts = known.get(client)
  if (facts?.role !== 'primary') return undefined
  return Wire.of(client.connection).settings === 'kept' ? facts : undefined
}

/**
 * @throws AssentError `ASSENT_UNSUPPORTED`, or whatever the connection failed with
 */
export async function connectionFacts(name: string, client: PgClient): Promise<ConnectionFacts> {
  const before = known.get(client)
  requireProtocol(name, client)
  const wire = Wire.of(client.connection)
  // What is heard from here on counts again.
  wire.sets = 'none'
  const reply = await send(client, [{ text: FACTS }])
  if (reply.kind === 'lost') throw reply.cause
  if (reply.error !== undefined) throw reply.error
  const [version, prepared, replica, text, plain, process, replication, named] =
    reply.rows[0]?.[0] ?? []
  if (Number(version) < OLDEST) {
    throw new AssentError({
      code: 'ASSENT_UNSUPPORTED',
      outcome: 'aborted',
      message: `Participant ${name} is ${text ?? 'unknown'}. Assent needs PostgreSQL 14 or newer.`,
    })
  }
  // A pooler tells its clients process ids of its own making.
  const route = process === String(client.processID) ? 'direct' : 'pooler'
  const facts: ConnectionFacts = {
    canPrepare: Number(prepared) > 0,
    role: replica === 'true' ? 'replica' : 'primary',
    timeouts: /linux/i.test(text ?? '') ? 'all' : 'portable',
    session: plain === 'true' && route === 'direct' ? 'plain' : 'special',
    route,
    replication: replicationOf(replication),
  }
  const isSet = before !== undefined && wire.settings === 'kept'
  if (facts.route === 'direct' && !isSet) await setForLife(client, facts)
  if (facts.route === 'direct') wire.endings.read(named)
  wire.settings = 'kept'
  known.set(client, facts)
  return facts
}

/** What a session of our own keeps. Other users of the pool have it too: it only ends dead links. */
async function setForLife(client: PgClient, { timeouts }: ConnectionFacts): Promise<void> {
  const settings = livenessSettings(timeouts)
  const reply = await send(
    client,
    settings.map(([setting, value]) => ({ text: `SET ${setting} = ${value}` })),
  )
  if (reply.kind === 'lost') throw reply.cause
  if (reply.error !== undefined) throw reply.error
  Wire.of(client.connection).naming = 'allowed'
}

/** Refuses clients on which our own messages can't be sent. */
function requireProtocol(name: string, client: PgClient): void {
  const { connection } = client as { connection?: Partial<PgClient['connection']> }
  const isPipelined = (client as { pipeline?: unknown }).pipeline === true
  if (!isPipelined && typeof connection?.parse === 'function') return
  throw new AssentError({
    code: 'ASSENT_UNSUPPORTED',
    outcome: 'aborted',
    message: isPipelined
      ? `Participant ${name}: its pool has \`pipeline: true\`, under which no message can be sent ` +
        `as one. Give Assent a pool without it.`
      : `Participant ${name}: its clients have no protocol connection (pg-native?). ` +
        `Use node-postgres' JavaScript client.`,
  })
}
