/**
 * Owns: what is prepared, as somebody sees it who has nothing to do with Assent: two connections of
 * its own, plain SQL, about fifty looks a second.
 * Promises: a branch is only called orphaned when it was listed by a look that began after its
 * worker's exit was known *and* after the worker's last session there had ended, so no message
 * that the victim had already sent could still end it; a branch is only called gone when a later
 * look at a living server does not list it.
 */
import pg from 'pg'
import { PREPARING } from './bank.ts'
import type { Urls } from './bank.ts'
import { pause } from './waiting.ts'

export type PreparingName = (typeof PREPARING)[number]

export interface Owner {
  readonly name: string
  readonly exitedAt: number | undefined
}

/** One prepared branch, all times on performance.now(). */
export interface Sighting {
  readonly gid: string
  readonly txid: string
  readonly database: PreparingName
  readonly firstSeenAt: number
  isOrphan: boolean
  goneAt: number | undefined
}

export interface Listing {
  readonly begunAt: number
  readonly gids: readonly string[]
}

interface Eye {
  readonly database: PreparingName
  client: pg.Client | undefined
  /** The looks wait for one another: node-postgres takes one query at a time. */
  last: Promise<unknown>
}

const LOOK_EVERY_MS = 20
const QUERY_TIMEOUT_MS = 5_000

/**
 * The sessions first: one that is missing here has ended, so what is listed after it has nobody
 * left who could end it on the victim's behalf. A session that waits for a lock is at some other
 * statement, and rolls back as soon as the server notices that its client is gone.
 */
const SESSIONS = `SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = 'bank' AND application_name LIKE 'worker-%'
  AND wait_event_type IS DISTINCT FROM 'Lock'`
const PREPARED = `SELECT gid FROM pg_prepared_xacts WHERE database = 'bank'`

export class Observer {
  readonly #urls: Urls
  readonly #ownerOf: (txid: string) => Owner | undefined
  readonly #eyes: readonly Eye[]
  readonly #sightings: Sighting[] = []
  /** Those that the last look at their database listed. */
  readonly #present = new Map<string, Sighting>()
  readonly #loops: Promise<void>
  readonly #closing = new AbortController()

  constructor(urls: Urls, ownerOf: (txid: string) => Owner | undefined) {
    this.#urls = urls
    this.#ownerOf = ownerOf
    this.#eyes = PREPARING.map((database) => ({
      database,
      client: undefined,
      last: Promise.resolve(),
    }))
    this.#loops = Promise.allSettled(this.#eyes.map((eye) => this.#watch(eye))).then(
      () => undefined,
    )
  }

  get sightings(): readonly Sighting[] {
    return this.#sightings
  }

  get preparedNow(): number {
    return this.#present.size
  }

  /** Looks once, now. `undefined`: the server does not answer. */
  look(database: PreparingName): Promise<Listing | undefined> {
    const eye = this.#eyes.find((each) => each.database === database)
    if (eye === undefined) throw new Error(`nobody watches ${database}`)
    const look = eye.last.then(() => this.#look(eye))
    eye.last = look
    return look
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#loops
    await Promise.all(
      this.#eyes.map(async ({ client }) => {
        await client?.end().catch(() => undefined)
      }),
    )
  }

  async #watch(eye: Eye): Promise<void> {
    for (;;) {
      await this.look(eye.database)
      await pause(LOOK_EVERY_MS, this.#closing.signal)
    }
  }

  async #look(eye: Eye): Promise<Listing | undefined> {
    try {
      eye.client ??= await this.#connect(eye)
      const begunAt = performance.now()
      const [sessions, prepared] = (await eye.client.query(
        `${SESSIONS};${PREPARED}`,
      )) as unknown as [
        pg.QueryResult<{ application_name: string }>,
        pg.QueryResult<{ gid: string }>,
      ]
      const names = new Set(sessions.rows.map((row) => row.application_name))
      const listing = { begunAt, gids: prepared.rows.map((row) => row.gid) }
      this.#record(eye.database, listing, names)
      return listing
    } catch {
      eye.client = undefined
      return undefined
    }
  }

  async #connect(eye: Eye): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#urls[eye.database],
      application_name: 'observer',
      connectionTimeoutMillis: QUERY_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
    })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  #record(database: PreparingName, listing: Listing, sessions: ReadonlySet<string>): void {
    const now = performance.now()
    const listed = new Set(listing.gids)
    for (const gid of listed) {
      const sighting = this.#present.get(gid) ?? this.#first(database, gid, listing.begunAt)
      const owner = this.#ownerOf(sighting.txid)
      if (owner?.exitedAt === undefined || listing.begunAt < owner.exitedAt) continue
      if (!sessions.has(owner.name)) sighting.isOrphan = true
    }
    for (const [gid, sighting] of this.#present) {
      if (sighting.database !== database || listed.has(gid)) continue
      sighting.goneAt = now
      this.#present.delete(gid)
    }
  }

  #first(database: PreparingName, gid: string, at: number): Sighting {
    // A1.<app>.<register>.<epoch>.<txid>.<branch>
    const txid = gid.split('.')[4] ?? ''
    const sighting: Sighting = {
      gid,
      txid,
      database,
      firstSeenAt: at,
      isOrphan: false,
      goneAt: undefined,
    }
    this.#sightings.push(sighting)
    this.#present.set(gid, sighting)
    return sighting
  }
}
