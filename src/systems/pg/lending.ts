/**
 * Lending a connection of the user's pool to a branch.
 *
 * Owns: waiting for the pool, and what must be true of a connection before a branch begins on it.
 * Promises: whoever asks is given one connection, with its guard, or an error; a connection that
 * comes too late is given back at once. One that turns out to be dead is replaced. Nothing is said on
 * a connection while the pool still hands it over, or in the name of whoever gave it back.
 */
import { AssentError } from '../../protocol/index.ts'
import type { JoinRequest, World } from '../../ports/index.ts'
import { connectError } from './connect-errors.ts'
import { connectionFacts, knownFacts } from './connection-facts.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import type { PgPool, PgPoolClient } from './driver.ts'
import { GuardedConnection } from './guarded-connection.ts'
import { Wire } from './wire.ts'

/** Pooled connections can be dead without knowing it, all of them, after a server's restart. */
const ATTEMPTS = 3

/** A pooled connection that is lent to a branch. */
export class Lent {
  readonly client: PgPoolClient
  readonly connection: ConnectionFacts
  readonly guard: GuardedConnection

  constructor(client: PgPoolClient, connection: ConnectionFacts, guard: GuardedConnection) {
    this.client = client
    this.connection = connection
    this.guard = guard
  }

  /** Gives the connection back to its pool, or destroys it. Called once. */
  release(how: 'return' | 'destroy'): void {
    release(this.client, how)
  }
}

export interface LendingFacts {
  readonly name: string
  readonly world: World
  readonly pool: PgPool
  /** Told what was read of a connection that was new. */
  readonly onRead: (facts: ConnectionFacts) => void
  /** Told how long the pool let wait. */
  readonly onWaited: ((ms: number) => void) | undefined
}

/** Resolves with what `use` makes of the connection, at once. @throws AssentError */
export function lend<T>(
  facts: LendingFacts,
  request: JoinRequest,
  use: (lent: Lent) => T,
): Promise<T> {
  return take(facts, request).then((client) => {
    const known = knownFacts(client)
    // As nearly always. Two promises fewer than the other way.
    if (known !== undefined && isIdle(client)) return use(makeLent(facts, request, client, known))
    return examine(facts, request, client).then(use)
  })
}

/** Whether this connection will do; otherwise another one, for a while. */
async function examine(
  facts: LendingFacts,
  request: JoinRequest,
  first: PgPoolClient,
): Promise<Lent> {
  let client = first
  for (let attempt = 1; ; attempt += 1) {
    try {
      const known = knownFacts(client) ?? (await readFacts(facts, request, client))
      if (isIdle(client)) return makeLent(facts, request, client, known)
      throw new Error(`its connection was left in status ${Wire.of(client.connection).status}`)
    } catch (error) {
      release(client, 'destroy')
      const isOver = error instanceof AssentError || attempt >= ATTEMPTS
      if (isOver || request.waiting.isOver) throw connectError(facts.name, error)
    }
    client = await take(facts, request)
  }
}

/** Somebody may have given it back inside a transaction, and our COMMIT would commit his work. */
function isIdle(client: PgPoolClient): boolean {
  return Wire.of(client.connection).status === 'I'
}

function makeLent(
  { name, world }: LendingFacts,
  { access }: JoinRequest,
  client: PgPoolClient,
  known: ConnectionFacts,
): Lent {
  return new Lent(client, known, new GuardedConnection(name, client, access, world))
}

async function readFacts(
  { name, onRead }: LendingFacts,
  { access, waiting }: JoinRequest,
  client: PgPoolClient,
): Promise<ConnectionFacts> {
  const callOff = waiting.whenOver(() => {
    client.connection.stream.destroy()
  })
  try {
    const facts = await connectionFacts(name, client)
    onRead(facts)
    if (facts.role === 'replica' && access === 'write') throw replicaError(name)
    return facts
  } finally {
    callOff()
  }
}

/** A connection of the pool, or an error once time is over; one that comes later goes back. */
function take(
  { name, pool, world, onWaited }: LendingFacts,
  { waiting }: JoinRequest,
): Promise<PgPoolClient> {
  const askedAt = world.now()
  return new Promise((resolve, reject) => {
    let taken: PgPoolClient | 'refused' | undefined
    const callOff = waiting.whenOver(() => {
      reject(connectError(name, new Error('its pool had no connection in time')))
    })
    const onTaken = (client: PgPoolClient): void => {
      if (taken !== undefined) {
        // Told twice, as callback and as promise; or given two, or one behind an error.
        if (client !== taken) client.release()
        return
      }
      taken = client
      // The error is told by `whenOver`, and may be still to come: it is time's turn to be over.
      if (waiting.isOver) {
        client.release()
        return
      }
      callOff()
      onWaited?.(world.now() - askedAt)
      // Without a listener, an error of an idle link would end the process.
      client.on('error', ignore)
      resolve(client)
    }
    const onRefused = (cause: unknown): void => {
      taken ??= 'refused'
      callOff()
      reject(connectError(name, cause))
    }
    try {
      connect(pool, onTaken, onRefused)
    } catch (cause) {
      // A pool whose settings can't be read throws, instead of rejecting.
      onRefused(cause)
    }
  })
}

/** A pool as node-postgres documents it too. */
interface CallbackPool {
  connect(callback: (error: unknown, client: PgPoolClient | undefined) => void): unknown
}

/**
 * By a callback, which the pool calls in the same moment in which it takes its own listener off: the
 * server's next message may be in the same packet, and say that it goes down.
 */
function connect(
  pool: PgPool,
  onTaken: (client: PgPoolClient) => void,
  onRefused: (cause: unknown) => void,
): void {
  const given = (pool as CallbackPool).connect((error, client) => {
    if (client === undefined) onRefused(error)
    else onTaken(client)
  })
  // Whoever wraps the pool may know the promise alone; or pass the callback on, and resolve with nothing.
  if (!isThenable(given)) return
  given.then((client) => {
    if (client !== undefined) onTaken(client)
  }, onRefused)
}

function isThenable(value: unknown): value is PromiseLike<PgPoolClient | undefined> {
  return typeof value === 'object' && value !== null && 'then' in value
}

function release(client: PgPoolClient, how: 'return' | 'destroy'): void {
  client.removeListener('error', ignore)
  client.release(how === 'destroy')
}

function replicaError(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_REPLICA',
    outcome: 'aborted',
    message:
      `Participant ${name} is a read-only replica and can't be written. Connect to the primary, ` +
      `or declare it: { reads: ['${name}'] }.`,
  })
}

function ignore(): void {}
