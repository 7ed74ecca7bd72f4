/**
 * What the scans have seen of each participant, for whoever wants to see it without a scan.
 *
 * Promises: says when it was seen. What was in doubt when a database could last be reached is
 * still said while it can't be.
 * Never: asks a database.
 */
import type { PreparedList, World } from '../ports/index.ts'
import { LIMITS } from './limits.ts'
import type { InDoubt, InDoubtReason } from './reports.ts'

/** One participant, as of its last scan. */
export interface Sighting {
  readonly reached: 'yes' | 'no' | 'not known yet'
  /** Of the last scan, on the clock on the wall; undefined before the first. */
  readonly scannedAtMs: number | undefined
  /** How long ago that was, and by when the next one should have come; undefined before the first. */
  readonly scan: { readonly agoMs: number; readonly dueMs: number } | undefined
  /** Why it could not be reached. */
  readonly error: unknown
  readonly inDoubt: readonly Doubt[]
  /** Of everything that is prepared there, of whomever; `undefined` for nothing, or no age. */
  readonly oldestPreparedMs: number | undefined
  readonly horizonTransactions: number | undefined
}

export interface Doubt {
  readonly reason: InDoubtReason
  /** As of now. Undefined where its system tells no age. */
  readonly ageMs: number | undefined
}

interface Seen {
  readonly reached: 'yes' | 'no'
  readonly wallMs: number
  /** On `World.now()`. */
  readonly scannedAt: number
  readonly error: unknown
  /** The last list that there was, and when, on `World.now()`. */
  readonly list: PreparedList
  readonly listedAt: number
  /** What was in doubt when the database could last be reached, if it can't be. */
  readonly kept: readonly InDoubt[]
}

const NOTHING: PreparedList = { branches: [], processes: 1 }

export class Sightings {
  readonly #world: World
  readonly #seen = new Map<string, Seen>()

  constructor(world: World) {
    this.#world = world
  }

  listed(participant: string, list: PreparedList): void {
    const [wallMs, listedAt] = [this.#world.wallMs(), this.#world.now()]
    const seen = { reached: 'yes', error: undefined, list, listedAt, kept: [] } as const
    this.#seen.set(participant, { ...seen, wallMs, scannedAt: listedAt })
  }

  /** `inDoubt`: as of the last list. */
  failed(participant: string, error: unknown, inDoubt: readonly InDoubt[]): void {
    const before = this.#seen.get(participant)
    const [wallMs, scannedAt] = [this.#world.wallMs(), this.#world.now()]
    const list = before?.list ?? NOTHING
    const listedAt = before?.listedAt ?? 0
    const kept = before?.reached === 'no' ? before.kept : inDoubt
    const seen = { reached: 'no', wallMs, scannedAt, error, list, listedAt, kept } as const
    this.#seen.set(participant, seen)
  }

  #scanOf({ scannedAt, list }: Seen): Sighting['scan'] {
    const longestPauseMs = LIMITS.scanMs * list.processes * 1.5
    return { agoMs: this.#world.now() - scannedAt, dueMs: longestPauseMs + SLOW_SCAN_MS }
  }

  of(participant: string, inDoubt: readonly InDoubt[]): Sighting {
    const seen = this.#seen.get(participant)
    const sinceListMs = this.#world.now() - (seen?.listedAt ?? 0)
    const ages = new Map(seen?.list.branches.map(({ gid, ageMs }) => [gid, ageMs + sinceListMs]))
    const doubts = seen?.reached === 'no' ? seen.kept : inDoubt
    const known = [...ages.values()].filter(Number.isFinite)
    return {
      reached: seen?.reached ?? 'not known yet',
      scannedAtMs: seen?.wallMs,
      scan: seen === undefined ? undefined : this.#scanOf(seen),
      error: seen?.error,
      inDoubt: doubts.map(({ gid, reason }) => ({ reason, ageMs: finite(ages.get(gid)) })),
      oldestPreparedMs: known.length === 0 ? undefined : Math.max(...known),
      horizonTransactions: seen?.list.horizonTransactions,
    }
  }
}

/** Beside the pauses between scans: an answer may take so long, and opening a connection. */
const SLOW_SCAN_MS = 60_000

function finite(ms: number | undefined): number | undefined {
  return ms !== undefined && Number.isFinite(ms) ? ms : undefined
}
