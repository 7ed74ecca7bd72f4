/**
 * Owns: when a worker or a database is killed with SIGKILL.
 * Promises: half of the kills fall at a random instant. The others are aimed: the observer looks,
 * again and again, until it sees a prepared branch of some living worker, and then that worker is
 * killed (or that database). Nothing is slowed down or stopped for it.
 */
import type { Bank } from './bank.ts'
import type { Crew, Worker } from './crew.ts'
import type { Observer } from './observer.ts'
import { Random } from './random.ts'
import { pause } from './waiting.ts'

export interface DatabaseKill {
  readonly database: string
  /** What was prepared there by the last look before the kill. */
  readonly heldBefore: readonly string[]
  /** Which of these the restarted server listed again, before recovery had ended them. */
  seenAfter: number
}

export interface FaultSetting {
  readonly bank: Bank
  readonly crew: Crew
  readonly observer: Observer
  readonly seed: number
  readonly durationMs: number
  readonly signal: AbortSignal
}

/** For four workers or more; fewer are killed less often, so that each lives long enough to work. */
const WORKER_PAUSE_MS = { least: 350, most: 700 }
const WORKERS_AT_FULL_PACE = 4
const DATABASE_PAUSE_MS = { least: 5_000, most: 9_000 }
/** How long a killed database stays down, at most: mostly a moment, now and then long enough that a
 * caller whose COMMIT was under way is told `unknown`. */
const LONGEST_OUTAGE_MS = { mostly: 500, nowAndThen: 3_000 }
/** How long an aim is kept before the next pause. */
const AIM_MS = 1_000

export class Faults {
  readonly #setting: FaultSetting
  readonly databaseKills: DatabaseKill[] = []
  // A stream for each loop, so that the one's choices don't depend on how fast the other goes.
  readonly #workerChoices: Random
  readonly #aimChoices: Random
  readonly #databaseChoices: Random
  #end = 0

  constructor(setting: FaultSetting) {
    this.#setting = setting
    this.#workerChoices = new Random(setting.seed, -1)
    this.#aimChoices = new Random(setting.seed, -2)
    this.#databaseChoices = new Random(setting.seed, -3)
  }

  /** Kills until the time is over; every database runs again then. */
  async run(): Promise<void> {
    this.#end = performance.now() + this.#setting.durationMs
    await Promise.all([this.#killWorkers(), this.#killDatabases()])
  }

  async #killWorkers(): Promise<void> {
    const { crew, signal } = this.#setting
    const random = this.#workerChoices
    const slower = Math.max(1, WORKERS_AT_FULL_PACE / crew.size)
    const range = { least: WORKER_PAUSE_MS.least * slower, most: WORKER_PAUSE_MS.most * slower }
    while (await this.#rest(range, random)) {
      signal.throwIfAborted()
      crew.readLogs()
      // On a busy machine starting takes a while, and killing only those that start tests nothing.
      if (!crew.isAtWork) continue
      if (random.chance(0.5)) {
        if (crew.alive.length > 0) crew.kill(random.pick(crew.alive), 'random')
        continue
      }
      const victim = await this.#aimAtWorker()
      if (victim !== undefined) crew.kill(victim, 'aimed')
    }
  }

  async #killDatabases(): Promise<void> {
    const { bank, observer, durationMs } = this.#setting
    const random = this.#databaseChoices
    // A short run has one too.
    const longestMs = durationMs / 3
    const first = Math.min(DATABASE_PAUSE_MS.least, longestMs)
    for (let isAimed = true; ; isAimed = !isAimed) {
      const most = Math.min(DATABASE_PAUSE_MS.most, longestMs)
      if (!(await this.#rest({ least: first, most }, random))) return
      await this.#killDatabase(random.pick(isAimed ? observer.watched : bank.names), isAimed)
    }
  }

  /** A living worker that has a branch prepared at this instant. */
  async #aimAtWorker(): Promise<Worker | undefined> {
    const { crew, observer, signal } = this.#setting
    const until = performance.now() + AIM_MS
    while (performance.now() < until) {
      signal.throwIfAborted()
      for (const database of this.#aimChoices.shuffle(observer.watched)) {
        const listing = await observer.look(database)
        crew.readLogs()
        for (const { txid } of listing?.branches ?? []) {
          const owner = crew.ownerOf(txid)
          if (owner !== undefined && crew.alive.includes(owner)) return owner
        }
      }
    }
    return undefined
  }

  async #killDatabase(database: string, isAimed: boolean): Promise<void> {
    const { bank, signal } = this.#setting
    const server = bank.server(database)
    const heldBefore = await this.#heldBy(database, isAimed ? AIM_MS : 0)
    await server.kill()
    const kill: DatabaseKill = { database, heldBefore, seenAfter: 0 }
    this.databaseKills.push(kill)
    const isLong = this.#databaseChoices.chance(0.25)
    const longestMs = isLong ? LONGEST_OUTAGE_MS.nowAndThen : LONGEST_OUTAGE_MS.mostly
    await pause(this.#databaseChoices.next() * longestMs, signal)
    await server.start()
    const after = await this.#heldBy(database, 0)
    kill.seenAfter = heldBefore.filter((gid) => after.includes(gid)).length
  }

  /** What is prepared there; looks again until something is, or the aim is given up. */
  async #heldBy(database: string, aimMs: number): Promise<readonly string[]> {
    const { observer, signal } = this.#setting
    if (!observer.watched.includes(database)) return []
    const until = performance.now() + aimMs
    for (;;) {
      const held = ((await observer.look(database))?.branches ?? []).map(({ gid }) => gid)
      if (held.length > 0 || performance.now() >= until) return held
      signal.throwIfAborted()
    }
  }

  /** False once the time is over. */
  async #rest({ least, most }: { least: number; most: number }, random: Random): Promise<boolean> {
    const wanted = random.between(Math.floor(least), Math.floor(most))
    const left = this.#end - performance.now()
    await pause(Math.max(0, Math.min(wanted, left)), this.#setting.signal)
    return performance.now() < this.#end
  }
}
