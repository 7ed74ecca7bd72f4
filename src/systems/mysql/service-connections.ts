/**
 * The connections that Assent keeps for itself on MySQL and MariaDB.
 *
 * Owns: their session's settings, and the transactions of Assent's own.
 * Promises: a full pool of the user's can't stop recovery; one that may be inside a transaction is
 * never used again; what `acknowledged` resolves with was read or written by a transaction whose own
 * COMMIT was answered with an OK.
 */
import type { World } from '../../ports/index.ts'
import { CONNECT_MS, NoConnection, Slots } from '../common/slots.ts'
import type { Held, Keeping } from '../common/slots.ts'
import { causeOf, surprise } from './answers.ts'
import type { Driver, Link, Reply, Rows } from './driver.ts'
import { readFacts } from './server-facts.ts'
import type { ServerFacts } from './server-facts.ts'

/** How many questions and ends may be under way at once at one database, beside the scan. */
export const SERVICE_CONNECTIONS = 4
/** How long one statement may go unanswered before its connection is cut. */
const ANSWER_MS = 30_000
/** An idle one is closed after this. */
export const IDLE_MS = 30_000

export interface ServiceFacts {
  readonly participant: string
  readonly driver: Driver
  readonly world: World
  readonly limit: number
  readonly idleMs: number
}

export class ServiceConnections {
  readonly #slots: Slots<OpenLink>
  readonly #world: World

  constructor({ participant, driver, world, limit, idleMs }: ServiceFacts) {
    this.#world = world
    const keeping: Keeping<OpenLink> = {
      open: (onBroken) => open(participant, driver, world, onBroken),
      close: ({ link }) => {
        link.cut()
        return Promise.resolve()
      },
      keepAlive: ({ link }, how) => {
        link.keepAlive(how)
      },
    }
    this.#slots = new Slots({ world, keeping, limit, idleMs })
  }

  /** @throws NoConnection with the reason as `cause` */
  use<T>(use: (connection: ServiceConnection) => Promise<T>): Promise<T> {
    return this.#slots.use(async (held) => {
      const connection = new ServiceConnection(held, this.#world)
      try {
        return await use(connection)
      } finally {
        connection.end()
      }
    })
  }

  close(): Promise<void> {
    return this.#slots.close()
  }
}

interface OpenLink {
  readonly link: Link
  readonly facts: ServerFacts
}

export class ServiceConnection {
  readonly #held: Held<OpenLink>
  readonly #world: World
  #stage: 'outside' | 'inside' | 'unclear' = 'outside'

  constructor(held: Held<OpenLink>, world: World) {
    this.#held = held
    this.#world = world
  }

  /** Of the server that answers here. */
  get server(): ServerFacts {
    return this.#held.connection.facts
  }

  /** The physical connection, as long as it lives. */
  get identity(): object {
    return this.#held.connection.link.key
  }

  /** One statement; the connection is not to be used again once one was lost. Never rejects. */
  async send(text: string): Promise<Reply> {
    const { link } = this.#held.connection
    const cancel = cutAfter(this.#world, ANSWER_MS, link)
    const reply = await link.send(text)
    cancel()
    if (reply.kind === 'lost') this.#stage = 'unclear'
    return reply
  }

  /** @throws NoConnection when the answer was lost; the server's own error */
  async rows(text: string): Promise<Rows> {
    const reply = await this.send(text)
    if (reply.kind === 'answered') return reply.rows
    if (reply.kind === 'refused') throw reply.error
    throw new NoConnection('the connection was lost', { cause: reply.cause })
  }

  /** Whether a transaction was begun. Never rejects. */
  async begin(): Promise<Reply> {
    const reply = await this.send('START TRANSACTION READ WRITE')
    if (reply.kind === 'answered') this.#stage = 'inside'
    return reply
  }

  /** Never rejects. Anything but an OK: nobody knows what became of it. */
  async commit(): Promise<Reply> {
    const reply = await this.send('COMMIT')
    this.#stage = reply.kind === 'answered' ? 'outside' : 'unclear'
    return reply
  }

  /** Never rejects. */
  async rollBack(): Promise<Reply> {
    const reply = await this.send('ROLLBACK')
    this.#stage = reply.kind === 'answered' ? 'outside' : 'unclear'
    return reply
  }

  /**
   * A transaction of its own, of which only an acknowledged COMMIT counts. Otherwise it rejects, and
   * may or may not have happened.
   *
   * @throws NoConnection, or an error that says what was answered instead
   */
  async acknowledged<T>(work: (connection: this) => Promise<T>): Promise<T> {
    const begun = await this.begin()
    if (begun.kind !== 'answered') throw causeOf(begun)
    let result: T
    try {
      result = await work(this)
    } catch (error) {
      await this.rollBack()
      throw error
    }
    const committed = await this.commit()
    if (committed.kind !== 'answered') throw causeOf(committed)
    if (committed.warnings > 0) throw surprise(committed)
    return result
  }

  /** Whoever had it is done. */
  end(): void {
    if (this.#stage !== 'outside') this.#held.breaks(true)
  }
}

async function open(
  participant: string,
  driver: Driver,
  world: World,
  onBroken: () => void,
): Promise<OpenLink> {
  try {
    const link = await within(world, driver.connect())
    link.onBroken(onBroken)
    const cancel = cutAfter(world, CONNECT_MS, link)
    try {
      const facts = await readFacts(participant, link)
      for (const text of sessionOf(facts)) {
        const reply = await link.send(text)
        if (reply.kind !== 'answered') throw causeOf(reply)
      }
      return { link, facts }
    } catch (error) {
      link.cut()
      throw error
    } finally {
      cancel()
    }
  } catch (cause) {
    throw new NoConnection('the connection for recovery could not be opened', { cause })
  }
}

/** @returns a function that calls it off */
function cutAfter(world: World, ms: number, link: Link): () => void {
  const cut = (): void => {
    link.cut()
  }
  return world.timer(ms, cut, 'awaited')
}

/** A connection, or an error in time; one that comes later is cut. */
async function within(world: World, connecting: Promise<Link>): Promise<Link> {
  let isLate = false
  const late = Promise.withResolvers<never>()
  const cancel = world.timer(
    CONNECT_MS,
    () => {
      isLate = true
      late.reject(new Error(`no connection within ${CONNECT_MS / 1_000} s`))
    },
    'awaited',
  )
  void connecting.then(
    (link) => {
      if (isLate) link.cut()
    },
    () => undefined,
  )
  try {
    return await Promise.race([connecting, late.promise])
  } finally {
    cancel()
  }
}

/**
 * What these connections need of their session, whatever the server's defaults are: each statement
 * sees what is committed now; a lock is waited for as shortly as the server can; whatever we leave open
 * is ended if we vanish between two statements.
 */
function sessionOf({ flavour }: ServerFacts): readonly string[] {
  const bound =
    flavour === 'mariadb'
      ? 'idle_transaction_timeout = 10, max_statement_time = 0, wait_timeout = 28800'
      : 'wait_timeout = 28800'
  return [
    `SET SESSION autocommit = 1, sql_mode = '', time_zone = '+00:00', innodb_lock_wait_timeout = 1,
lock_wait_timeout = 2, foreign_key_checks = 1, completion_type = 'NO_CHAIN', sql_safe_updates = 0, sql_select_limit = 18446744073709551615, ${bound}`,
    'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE',
  ]
}
