/**
 * The connections that Assent keeps for itself: for scanning, asking and ending.
 *
 * Owns: their number, their session settings, and what happens to one that does not answer.
 * Promises: a full pool of the user's can't stop recovery; nobody waits for one without a bound; a
 * connection that is busy keeps its slot until the server is really done or the link is cut; an idle
 * one does not keep the process alive. Each has a session of the server to itself.
 * Never: holds one while waiting for another (every use is one question to one database), so
 * two databases can't wait for each other here.
 */
import { AssentError } from '../../protocol/index.ts'
import type { World } from '../../ports/index.ts'
import { CONNECT_MS, NoConnection, Slots } from '../common/slots.ts'
import type { Held } from '../common/slots.ts'
import type { PgClient, PgPool } from './driver.ts'
import { sameTags } from './answers.ts'
import { withoutSecrets } from './connect-errors.ts'
import { send } from './message.ts'
import type { Answered, Reply } from './message.ts'
import { Wire } from './wire.ts'
import type { Statement } from './wire.ts'

/** How many questions and ends may be under way at once at one database, beside the scan. */
export const SERVICE_CONNECTIONS = 4
/** How long one message may go unanswered before its connection is cut. */
const ANSWER_MS = 30_000
/** An idle one is closed after this. */
export const IDLE_MS = 30_000

export interface ServiceConnection {
  send(statements: readonly Statement[]): Promise<Reply>
}

/**
 * Sends statements whose errors are the caller's.
 *
 * @throws NoConnection when the answer was lost; the server's own error
 */
export async function answered(
  connection: ServiceConnection,
  statements: readonly Statement[],
): Promise<Answered> {
  const reply = await connection.send(statements)
  if (reply.kind === 'lost') throw new NoConnection('the connection was lost', reply)
  if (reply.error !== undefined) throw reply.error
  return reply
}

export class ServiceConnections {
  readonly #participant: string
  readonly #via: 'direct' | 'session-pooler'
  readonly #pool: PgPool
  readonly #options: object | undefined
  readonly #applicationName: string
  readonly #world: World
  readonly #slots: Slots<PgClient>

  constructor(facts: {
    readonly participant: string
    readonly via: 'direct' | 'session-pooler'
    readonly pool: PgPool
    /** What to connect with instead of the pool's options: a direct connection beside a pooler. */
    readonly options: object | undefined
    readonly applicationName: string
    readonly world: World
    readonly limit: number
    /** When an idle one is closed; `Infinity` for never. */
    readonly idleMs: number
  }) {
    this.#participant = facts.participant
    this.#via = facts.via
    this.#pool = facts.pool
    this.#options = facts.options
    this.#applicationName = facts.applicationName
    this.#world = facts.world
    this.#slots = new Slots({
      world: facts.world,
      limit: facts.limit,
      idleMs: facts.idleMs,
      keeping: {
        open: (onBroken) => this.#open(onBroken),
        close: (client) => this.#end(client),
        keepAlive: (client, how) => {
          if (how === 'yes') client.ref?.()
          else client.unref?.()
        },
      },
    })
  }

  /**
   * Lends a connection to `use`. One whose last reply left it in a transaction is not kept.
   *
   * @throws NoConnection with the reason as `cause`
   */
  use<T>(use: (connection: ServiceConnection) => Promise<T>): Promise<T> {
    return this.#slots.use((held) => use({ send: (statements) => this.#send(held, statements) }))
  }

  /** Ends every connection; one that is busy is ended by its user, as soon as it is given back. */
  close(): Promise<void> {
    return this.#slots.close()
  }

  async #open(onBroken: () => void): Promise<PgClient> {
    try {
      return await this.#connect(onBroken)
    } catch (cause) {
      throw new NoConnection('the connection for recovery could not be opened', {
        cause: withoutSecrets(cause),
      })
    }
  }

  async #connect(onBroken: () => void): Promise<PgClient> {
    const client = this.#makeClient()
    client.on('error', onBroken)
    const cancel = this.#cutAfter(CONNECT_MS, client)
    const reply = await this.#greet(client).finally(cancel)
    if (reply.kind === 'answered' && sameTags(reply.tags, ['SELECT 1'])) {
      if (this.#via === 'direct') Wire.of(client.connection).naming = 'allowed'
      return client
    }
    client.connection.stream.destroy()
    if (reply.kind === 'lost') throw reply.cause
    throw reply.error ?? this.#isPooled()
  }

  /** The first message may wait where the login did not: behind a pooler whose sessions are all in use. */
  async #greet(client: PgClient): Promise<Reply> {
    await client.connect()
    const process = this.#via === 'direct' ? String(client.processID ?? 0) : null
    return send(client, [{ text: SESSION, values: [this.#applicationName, process] }])
  }

  #isPooled(): AssentError {
    return new AssentError({
      code: 'ASSENT_POOLER',
      outcome: 'aborted',
      message:
        `Participant ${this.#participant}: the connections that Assent keeps for itself lead through ` +
        `a pooler or proxy, which may give one session of the server to many clients. Give them a ` +
        `direct address: pg(pool, { recovery: { connectionString: … } }). If each of them has a ` +
        `session of its own there, say so: recoveryVia: 'session-pooler'.`,
    })
  }

  #makeClient(): PgClient {
    // Copied with its hidden properties: a pool keeps its password from being enumerated.
    const options = Object.getOwnPropertyDescriptors(this.#options ?? this.#pool.options)
    const config = Object.defineProperties({}, options) as Record<string, unknown>
    config['keepAlive'] = true
    config['query_timeout'] = undefined
    return new this.#pool.Client(config as never)
  }

  async #send(
    { connection: client, breaks }: Held<PgClient>,
    statements: readonly Statement[],
  ): Promise<Reply> {
    const cancel = this.#cutAfter(ANSWER_MS, client)
    const reply = await send(client, statements)
    cancel()
    // One that is left inside a transaction is as good as broken for the next use.
    breaks(reply.kind !== 'answered' || reply.status !== 'I')
    return reply
  }

  async #end(client: PgClient): Promise<void> {
    // An idle one does not keep the process alive; whoever awaits its end does.
    client.ref?.()
    const cancel = this.#cutAfter(CONNECT_MS, client)
    try {
      await client.end()
    } catch {
      // It was broken already.
    } finally {
      cancel()
    }
  }

  /** @returns a function that calls it off */
  #cutAfter(ms: number, client: PgClient): () => void {
    const cut = (): void => {
      client.connection.stream.destroy()
    }
    return this.#world.timer(ms, cut, 'awaited')
  }
}

/**
 * What these connections need of their session, whatever the role's defaults are: names that mean
 * PostgreSQL's own, warnings that arrive, commits that wait at least for the local disk, and a
 * server that frees us if we vanish between two messages.
 *
 * Nothing is set, and no row comes, where another process of the server answers than the one that
 * the connection was told of: a pooler is in between (PgBouncer makes a number up). In transaction
 * mode, what is set for a session would stay behind for its next client: a search path, for one.
 */
const SESSION = `SELECT pg_catalog.set_config('application_name', $1::pg_catalog.text, false),
  pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false),
  pg_catalog.set_config('client_min_messages', 'warning', false),
  pg_catalog.set_config('default_transaction_read_only', 'off', false),
  pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', false),
  pg_catalog.set_config('statement_timeout', '0', false),
  pg_catalog.set_config('synchronous_commit', CASE
    WHEN pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'remote_apply'
    THEN 'remote_apply' ELSE 'on' END, false)
WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=)
  coalesce($2::pg_catalog.int4, pg_catalog.pg_backend_pid())`
