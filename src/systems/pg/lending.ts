/**
 * Lending a connection of the user's pool to a branch.
 *
 * Owns: waiting for the pool, and what must be true of a connection before a branch begins on it.
 * Promises: whoever asks is given one connection, with its guard, or an error, once; a connection
 * that comes too late is given back at once. One that turns out to be dead is replaced.
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
}

export interface Borrower {
  readonly request: JoinRequest
  readonly onLent: (lent: Lent) => void
  readonly onFailed: (error: AssentError) => void
}

/** Never throws. One of the borrower's functions is called once, perhaps at once. */
export function lend(facts: LendingFacts, borrower: Borrower): void {
  new Attempt(facts, borrower, 1).take()
}

/** By callbacks where only Assent waits: a transaction that waits for nothing has few promises. */
class Attempt {
  readonly #facts: LendingFacts
  readonly #borrower: Borrower
  readonly #number: number
  #taken: PgPoolClient | 'nothing' | undefined
  #callOff = (): void => undefined

  constructor(facts: LendingFacts, borrower: Borrower, number: number) {
    this.#facts = facts
    this.#borrower = borrower
    this.#number = number
  }

  take(): void {
    const { request, onFailed } = this.#borrower
    const { name, pool } = this.#facts
    this.#callOff = request.waiting.whenOver(() => {
      onFailed(connectError(name, new Error('its pool had no connection in time')))
    })
    try {
      this.#connect(pool)
    } catch (cause) {
      // A pool whose settings can't be read throws, instead of rejecting.
      this.#onRefused(cause)
    }
  }

  /**
   * By a callback, which the pool calls in the same moment in which it takes its own listener off: the
   * server's next message may be in the same packet, and say that it goes down.
   */
  #connect(pool: PgPool): void {
    const given = (pool as CallbackPool).connect((error, client) => {
      if (client === undefined) this.#onRefused(error)
      else this.#onTaken(client)
    })
    // Whoever wraps the pool may know the promise alone; or pass the callback on, and resolve with nothing.
    if (!isThenable(given)) return
    given.then(
      (client) => {
        if (client !== undefined) this.#onTaken(client)
      },
      (cause: unknown) => {
        this.#onRefused(cause)
      },
    )
  }

  #onRefused(cause: unknown): void {
    if (this.#taken !== undefined) return
    this.#taken = 'nothing'
    this.#callOff()
    const { request, onFailed } = this.#borrower
    if (!request.waiting.isOver) onFailed(connectError(this.#facts.name, cause))
  }

  #onTaken(client: PgPoolClient): void {
    if (this.#taken !== undefined) {
      // Told twice, as callback and as promise; or given two, or one after an error.
      if (client !== this.#taken) client.release()
      return
    }
    this.#taken = client
    this.#callOff()
    if (this.#borrower.request.waiting.isOver) {
      client.release()
      return
    }
    // Without a listener, an error of an idle link would end the process.
    client.on('error', ignore)
    try {
      const facts = knownFacts(client)
      if (facts !== undefined) this.#give(client, facts)
      else void this.#readAndGive(client)
    } catch (error) {
      this.#giveUp(client, error)
    }
  }

  async #readAndGive(client: PgPoolClient): Promise<void> {
    try {
      this.#give(client, await this.#read(client))
    } catch (error) {
      this.#giveUp(client, error)
    }
  }

  async #read(client: PgPoolClient): Promise<ConnectionFacts> {
    const { request } = this.#borrower
    const callOff = request.waiting.whenOver(() => {
      client.connection.stream.destroy()
    })
    try {
      const facts = await connectionFacts(this.#facts.name, client)
      this.#facts.onRead(facts)
      const isReplica = facts.role === 'replica' && request.access === 'write'
      if (isReplica) throw replicaError(this.#facts.name)
      return facts
    } finally {
      callOff()
    }
  }

  /** @throws Error when it is of no use */
  #give(client: PgPoolClient, facts: ConnectionFacts): void {
    const { name, world } = this.#facts
    const { request, onLent } = this.#borrower
    // Somebody gave it back inside a transaction, and our COMMIT would commit his work.
    const { status } = Wire.of(client.connection)
    if (status !== 'I') throw new Error(`its connection was left in status ${status}`)
    onLent(new Lent(client, facts, new GuardedConnection(name, client, request.access, world)))
  }

  /** Unless there may be another one to try. */
  #giveUp(client: PgPoolClient, error: unknown): void {
    release(client, 'destroy')
    const { request, onFailed } = this.#borrower
    const isOver = error instanceof AssentError || this.#number >= ATTEMPTS
    if (isOver || request.waiting.isOver) onFailed(connectError(this.#facts.name, error))
    else new Attempt(this.#facts, this.#borrower, this.#number + 1).take()
  }
}

function release(client: PgPoolClient, how: 'return' | 'destroy'): void {
  client.removeListener('error', ignore)
  client.release(how === 'destroy')
}

/** A pool as node-postgres documents it too. */
interface CallbackPool {
  connect(callback: (error: unknown, client: PgPoolClient | undefined) => void): unknown
}

function isThenable(value: unknown): value is PromiseLike<PgPoolClient | undefined> {
  return typeof value === 'object' && value !== null && 'then' in value
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
