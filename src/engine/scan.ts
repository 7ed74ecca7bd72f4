/**
 * The scans that find what other processes left behind.
 *
 * Owns: when a database is scanned, and what is done with what it lists.
 * Promises: no leader. Every process scans every database at random times, with a mean of N seconds
 * for N processes, so that a database sees about one scan a second however many there are, and a
 * process that is killed or stopped is not missed. While something is in doubt, this process
 * looks at just that more often, with growing waits; and what it finds left behind in one database
 * makes it look at the others at once, since a process that died has mostly left more than one.
 * Never: uses a branch's age for safety. A young one is left for a moment out of courtesy, since
 * its own process is most likely about to end it.
 */
import { readGid } from '../protocol/index.ts'
import type { Gid, recovery } from '../protocol/index.ts'
import type { Participant, PreparedBranch } from '../ports/index.ts'
import { LIMITS } from './limits.ts'
import { doubtOf, inDoubtOf } from './recover.ts'
import type { Recovery, RecoverySetting } from './recover.ts'
import type { InDoubt, InDoubtReason } from './reports.ts'

/** How soon a branch that stayed in doubt is looked at again: doubling, and never slower than scans. */
const FIRST_LOOK_MS = 100

interface Seen {
  readonly doubt: InDoubt
  looks: number
  nextLookAt: number
}

export class Scan {
  readonly #setting: RecoverySetting
  readonly #recovery: Recovery
  readonly #app: string
  /** What is in doubt at each participant, from the last scan. */
  readonly #seen = new Map<string, Map<string, Seen>>()
  readonly #reported = new Set<string>()
  /** Ends the pause before a participant's next scan. */
  readonly #wakers = new Map<string, AbortController>()

  constructor(app: string, setting: RecoverySetting, recovery: Recovery) {
    this.#app = app
    this.#setting = setting
    this.#recovery = recovery
  }

  /** Scans one participant until the signal. Never rejects. */
  async loop(participant: Participant): Promise<void> {
    const { world, signal } = this.#setting
    let processes = 1
    // The first look comes soon: a process is often started to replace one that died.
    let pauseMs = LIMITS.scanMs * 0.5 * world.random()
    while (!isOver(signal)) {
      await this.#restUntilDue(participant, pauseMs)
      if (isOver(signal)) return
      try {
        processes = (await this.#look(participant, 'due')).processes
      } catch (error) {
        if (isOver(signal)) return
        this.#setting.report({ type: 'scan-failed', participant: participant.name, error })
      }
      // Uniform around the mean: processes that started together drift apart.
      pauseMs = LIMITS.scanMs * processes * (0.5 + world.random())
    }
  }

  /** Recovers everything at a participant now. Returns what stays. @throws when it can't be listed */
  async pass(participant: Participant): Promise<readonly InDoubt[]> {
    // Its own look: the loop may look meanwhile, and leave young branches for later.
    const { seen } = await this.#look(participant, 'all')
    return [...seen.values()].map(({ doubt }) => doubt)
  }

  /** Lists without recovering: with the reason of the last look, if there was one. */
  async list(participant: Participant): Promise<readonly InDoubt[]> {
    const { branches } = await participant.listPrepared()
    const seen = this.#seenAt(participant)
    return branches.flatMap((branch) => {
      const doubt = seen.get(branch.gid)?.doubt ?? this.#unseen(participant, branch)
      return doubt === undefined ? [] : [{ ...doubt, ageMs: branch.ageMs }]
    })
  }

  #unseen(participant: Participant, branch: PreparedBranch): InDoubt | undefined {
    const reading = readGid(branch.gid, this.#app)
    if (reading.kind === 'stranger') return undefined
    if (reading.kind === 'ours') {
      return inDoubtOf(participant.name, reading.gid, branch.ageMs, 'not-asked-yet')
    }
    return this.#stranger(participant, branch, reading.kind)
  }

  #stranger(
    participant: Participant,
    branch: PreparedBranch,
    reason: 'other-app' | 'unreadable',
  ): InDoubt {
    const { gid, ageMs } = branch
    const names = { transactionId: undefined, register: undefined }
    return { participant: participant.name, gid, ageMs, reason, ...names }
  }

  async #restUntilDue(participant: Participant, pauseMs: number): Promise<void> {
    const { world, signal } = this.#setting
    const now = world.now()
    const looks = [...this.#seenAt(participant).values()].map((seen) => seen.nextLookAt - now)
    const waker = new AbortController()
    this.#wakers.set(participant.name, waker)
    const wakeOrEnd = AbortSignal.any([waker.signal, signal])
    await world.rest(Math.max(0, Math.min(pauseMs, ...looks)), wakeOrEnd)
  }

  /** Lists, and recovers what is due. Says how many processes scan this database. */
  async #look(
    participant: Participant,
    which: 'due' | 'all',
  ): Promise<{ readonly processes: number; readonly seen: ReadonlyMap<string, Seen> }> {
    const { branches, processes } = await participant.listPrepared()
    const before = this.#seenAt(participant)
    const now = new Map<string, Seen>()
    this.#seen.set(participant.name, now)
    this.#forgetReports(participant, new Set(branches.map((branch) => branch.gid)))
    await inParallel(LIMITS.recoveriesAtOnce, branches, async (branch) => {
      const seen = await this.#judge(participant, branch, before.get(branch.gid), which)
      if (seen !== undefined) now.set(branch.gid, seen)
    })
    return { processes, seen: now }
  }

  async #judge(
    participant: Participant,
    branch: PreparedBranch,
    before: Seen | undefined,
    which: 'due' | 'all',
  ): Promise<Seen | undefined> {
    const reading = readGid(branch.gid, this.#app)
    if (reading.kind === 'stranger') return undefined
    if (reading.kind !== 'ours') {
      return this.#leave(this.#stranger(participant, branch, reading.kind))
    }
    const { gid } = reading
    const alone = this.#whyAlone(branch, gid)
    if (alone !== undefined) {
      return this.#leave(inDoubtOf(participant.name, gid, branch.ageMs, alone))
    }
    const isYoung = before === undefined && branch.ageMs < LIMITS.courtesyMs
    const isDue = before === undefined || this.#setting.world.now() >= before.nextLookAt
    if (which === 'due' && isYoung) return this.#later(participant, branch, gid, 'not-asked-yet', 0)
    if (which === 'due' && !isDue) return before
    const verdict = await this.#recovery.round(participant, gid)
    if (verdict === 'committed' || verdict === 'rolled-back') this.#wakeOthers(participant)
    return this.#after(verdict, participant, branch, gid, (before?.looks ?? 0) + 1)
  }

  /** Why this process must leave a branch alone, if it must. */
  #whyAlone(branch: PreparedBranch, gid: Gid): InDoubtReason | undefined {
    if (!branch.mayEnd) return 'not-owner'
    return this.#setting.participants.has(gid.register) ? undefined : 'register-not-configured'
  }

  #wakeOthers(participant: Participant): void {
    for (const [name, waker] of this.#wakers) if (name !== participant.name) waker.abort()
  }

  #after(
    verdict: recovery.Verdict,
    participant: Participant,
    branch: PreparedBranch,
    gid: Gid,
    looks: number,
  ): Seen | undefined {
    const reason = doubtOf(verdict)
    if (reason === undefined) return undefined
    return this.#later(participant, branch, gid, reason, looks)
  }

  #later(
    participant: Participant,
    branch: PreparedBranch,
    gid: Gid,
    reason: InDoubtReason,
    looks: number,
  ): Seen {
    const waitMs =
      looks === 0
        ? LIMITS.courtesyMs
        : Math.min(LIMITS.scanMs * 5, FIRST_LOOK_MS * 2 ** Math.min(looks - 1, 10))
    const doubt = inDoubtOf(participant.name, gid, branch.ageMs, reason)
    if (reason === 'held') this.#reportOnce(doubt)
    return { doubt, looks, nextLookAt: this.#setting.world.now() + waitMs }
  }

  /** Not ours to end: left alone, and reported once. */
  #leave(doubt: InDoubt): Seen {
    this.#reportOnce(doubt)
    return { doubt, looks: 0, nextLookAt: Number.POSITIVE_INFINITY }
  }

  /** What is gone may be reported anew if it comes back; and the set stays as small as the list. */
  #forgetReports(participant: Participant, listed: ReadonlySet<string>): void {
    for (const key of this.#reported) {
      const [name, gid = ''] = key.split(' ')
      if (name === participant.name && !listed.has(gid)) this.#reported.delete(key)
    }
  }

  #reportOnce(inDoubt: InDoubt): void {
    const key = `${inDoubt.participant} ${inDoubt.gid} ${inDoubt.reason}`
    if (this.#reported.has(key)) return
    this.#reported.add(key)
    this.#setting.report({ type: 'in-doubt', inDoubt })
  }

  #seenAt(participant: Participant): ReadonlyMap<string, Seen> {
    return this.#seen.get(participant.name) ?? new Map<string, Seen>()
  }
}

/** A call, so that it is read anew each time. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted
}

/** Runs `work` over all items, at most `limit` at the same time. */
async function inParallel<T>(
  limit: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
}
