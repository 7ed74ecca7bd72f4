/**
 * What must be known of a physical connection before a branch begins on it.
 *
 * Owns: reading it, once per connection: a server that restarts with other settings ends its
 * connections.
 */
import { AssentError } from '../../protocol/index.ts'
import type { PgClient } from './driver.ts'
import { send } from './message.ts'

export interface ConnectionFacts {
  /** Whether the server keeps prepared transactions at all. */
  readonly canPrepare: boolean
  readonly role: 'primary' | 'replica'
  /** Whether the server knows the Linux time-outs that free a vanished client's session. */
  readonly timeouts: 'all' | 'portable'
  /**
   * Whether COMMIT PREPARED can be sent on this connection as it is: as the role that logs in, with
   * warnings on, waiting for the disk.
   */
  readonly session: 'plain' | 'special'
}

const FACTS = `SELECT pg_catalog.current_setting('server_version_num')::int,
  pg_catalog.current_setting('max_prepared_transactions')::int,
  pg_catalog.pg_is_in_recovery()::text,
  pg_catalog.version(),
  (current_user = session_user
    AND pg_catalog.current_setting('client_min_messages') NOT IN ('error', 'fatal', 'panic')
    AND pg_catalog.current_setting('synchronous_commit') IN ('on', 'remote_apply'))::text`

const OLDEST = 140_000
const known = new WeakMap<PgClient, ConnectionFacts>()

/**
 * @throws AssentError `ASSENT_UNSUPPORTED`, or whatever the connection failed with
 */
export async function connectionFacts(name: string, client: PgClient): Promise<ConnectionFacts> {
  const before = known.get(client)
  // A replica may have been promoted since; everything else lasts as long as the connection.
  if (before?.role === 'primary') return before
  requireProtocol(name, client)
  const reply = await send(client, [{ text: FACTS }])
  if (reply.kind === 'lost') throw reply.cause
  if (reply.error !== undefined) throw reply.error
  const [version, prepared, replica, text, plain] = reply.rows[0]?.[0] ?? []
  if (Number(version) < OLDEST) {
    throw new AssentError({
      code: 'ASSENT_UNSUPPORTED',
      outcome: 'aborted',
      message: `Participant ${name} is ${text ?? 'unknown'}. Assent needs PostgreSQL 14 or newer.`,
    })
  }
  const facts: ConnectionFacts = {
    canPrepare: Number(prepared) > 0,
    role: replica === 'true' ? 'replica' : 'primary',
    timeouts: /linux/i.test(text ?? '') ? 'all' : 'portable',
    session: plain === 'true' ? 'plain' : 'special',
  }
  known.set(client, facts)
  return facts
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
