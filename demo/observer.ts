/**
 * Owns: what is prepared, as somebody sees it who has nothing to do with Assent: a connection of its
 * own to each database that prepares, plain SQL, about fifty looks a second.
 * Promises: a branch is only called orphaned when it was listed by a look that began after its
 * worker's exit was known *and* after the sessions had ended by which a message that the victim had
 * already sent could still end it; a branch is only called gone when a later look at a living server
 * does not list it.
 */
import { connectPlainly } from './database.ts'
import type { Place, PlainSql, SeenBranch } from './database.ts'
import { pause } from './waiting.ts'

export interface Owner {
  readonly name: string
  readonly exitedAt: number | undefined
}

/** One prepared branch, all times on performance.now(). */
export interface Sighting {
  readonly gid: string
  readonly txid: string
  readonly database: string
  readonly firstSeenAt: number
  isOrphan: boolean
  goneAt: number | undefined
}

export interface Listing {
  readonly begunAt: number
  readonly branches: readonly SeenBranch[]
}

interface Eye {
  readonly place: Place
  sql: PlainSql | undefined
  /** The looks wait for one another: a connection takes one query at a time. */
  last: Promise<unknown>
}

const LOOK_EVERY_MS = 20
const ANSWER_TIMEOUT_MS = 5_000

export class Observer {
  readonly #ownerOf: (txid: string) => Owner | undefined
  readonly #eyes: readonly Eye[]
  readonly #sightings: Sighting[] = []
  /** Those that the last look at their database listed. */
  readonly #present = new Map<string, Sighting>()
  readonly #loops: Promise<void>
  readonly #closing = new AbortController()

  constructor(places: readonly Place[], ownerOf: (txid: string) => Owner | undefined) {
    this.#ownerOf = ownerOf
    this.#eyes = places
      .filter(({ prepares }) => prepares)
      .map((place) => ({ place, sql: undefined, last: Promise.resolve() }))
    this.#loops = Promise.allSettled(this.#eyes.map((eye) => this.#watch(eye))).then(
      () => undefined,
    )
  }

  /** The databases that it looks at: those that can keep a prepared branch. */
  get watched(): readonly string[] {
    return this.#eyes.map(({ place }) => place.name)
  }

  get sightings(): readonly Sighting[] {
    return this.#sightings
  }

  get preparedNow(): number {
    return this.#present.size
  }

  /** Looks once, now. `undefined`: the server does not answer. */
  look(database: string): Promise<Listing | undefined> {
    const eye = this.#eyes.find(({ place }) => place.name === database)
    if (eye === undefined) throw new Error(`nobody watches ${database}`)
    return this.#lookThrough(eye)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#loops
    await Promise.all(
      this.#eyes.map(async ({ sql }) => {
        await sql?.close().catch(() => undefined)
      }),
    )
  }

  async #watch(eye: Eye): Promise<void> {
    for (;;) {
      await this.#lookThrough(eye)
      await pause(LOOK_EVERY_MS, this.#closing.signal)
    }
  }

  #lookThrough(eye: Eye): Promise<Listing | undefined> {
    const look = eye.last.then(() => this.#look(eye))
    eye.last = look
    return look
  }

  async #look(eye: Eye): Promise<Listing | undefined> {
    const options = { as: 'observer', timeoutMs: ANSWER_TIMEOUT_MS }
    try {
      eye.sql ??= await connectPlainly(eye.place, options)
      const begunAt = performance.now()
      const listing = { begunAt, branches: await eye.sql.look() }
      this.#record(eye.place.name, listing)
      return listing
    } catch {
      void eye.sql?.close().catch(() => undefined)
      eye.sql = undefined
      return undefined
    }
  }

  #record(database: string, { begunAt, branches }: Listing): void {
    const now = performance.now()
    const listed = new Set(branches.map(({ gid }) => gid))
    for (const branch of branches) {
      const sighting = this.#present.get(branch.gid) ?? this.#first(database, branch, begunAt)
      const owner = this.#ownerOf(sighting.txid)
      if (owner?.exitedAt === undefined || begunAt < owner.exitedAt) continue
      if (!branch.isReachedBy(owner.name)) sighting.isOrphan = true
    }
    for (const [gid, sighting] of this.#present) {
      if (sighting.database !== database || listed.has(gid)) continue
      sighting.goneAt = now
      this.#present.delete(gid)
    }
  }

  #first(database: string, { gid, txid }: SeenBranch, at: number): Sighting {
    const seen = { gid, txid, database, firstSeenAt: at }
    const sighting: Sighting = { ...seen, isOrphan: false, goneAt: undefined }
    this.#sightings.push(sighting)
    this.#present.set(gid, sighting)
    return sighting
  }
}
