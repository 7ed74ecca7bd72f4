/**
 * The scans that find what other processes left behind.
 *
 * Owns: when a database is scanned, and what is done with what it lists.
 * Promises: no leader. Every process scans every database at random times, with a mean of N seconds
 * for N processes, so that a database sees about one scan a second however many there are, and a
 * process that is killed or stopped is not missed. While something is in doubt, this process
 * looks at just that more often, with growing waits; and what it finds left behind in one database
 * makes it look at the others at once, since a process that died has mostly left more than one.
 * A register that is silent delays only its own branches: rounds run beside the scans, and a few
 * at a time for each register.
 * Never: uses a branch's age for safety. A young one is left for a moment out of courtesy, since
 * its own process is most likely about to end it.
 */
import type { Gid, recovery } from '../protocol/index.ts'
import type { Participant, PreparedBranch, PreparedList } from '../ports/index.ts'
import { inParallel } from './in-parallel.ts'
import { judge } from './judge.ts'
import type { Judged } from './judge.ts'
import { LIMITS } from './limits.ts'
import { Pauses } from './pauses.ts'
import { doubtOf, inDoubtOf } from './recover.ts'
import type { Recovery, RecoverySetting } from './recover.ts'
import type { InDoubt, InDoubtReason } from './reports.ts'
import { Sightings } from './sightings.ts'
import type { Sighting } from './sightings.ts'
import { isAborted } from './unless-aborted.ts'

/** How soon a branch that stayed in doubt is looked at again; it doubles up to five scans. */
const FIRST_LOOK_MS = 100

interface Seen {
  readonly doubt: InDoubt
  readonly looks: number
  /** `Infinity` while a round is under way, and for what is left alone. */
  readonly nextLookAt: number
}

export class Scan {
  readonly #setting: RecoverySetting
  readonly #recovery: Recovery
  readonly #app: string
  /** What is in doubt at each participant, by gid, as of the last look. */
  readonly #seen = new Map<string, Map<string, Seen>>()
  readonly #reported = new Set<string>()
  /** Participants that are looked at as soon as courtesy allows. */
  readonly #hurried = new Set<string>()
  /** Rounds under way, by register. */
  readonly #rounds = new Map<string, number>()
  /** Rounds that wait until their register has one less, by register; each says whether it began. */
  readonly #due = new Map<string, (() => boolean)[]>()
  readonly #pauses: Pauses
  readonly #sightings: Sightings

  constructor(app: string, setting: RecoverySetting, recovery: Recovery) {
    this.#app = app
    this.#setting = setting
    this.#recovery = recovery
    this.#pauses = new Pauses(setting.world)
    this.#sightings = new Sightings(setting.world)
    setting.signal.addEventListener('abort', () => {
      this.#pauses.close()
    })
  }

  /** Scans one participant until the signal. Never rejects. */
  async loop(participant: Participant): Promise<void> {
    const { world, signal } = this.#setting
    // The first look comes soon: a process is often started to replace one that died.
    let pauseMs = LIMITS.scanMs * 0.5 * world.random()
    let sharing = 1
    for (;;) {
      const until = world.now() + pauseMs
      // However much there is to look at: the database has all of us to answer.
      const soonest = world.now() + LIMITS.courtesyMs * sharing * (0.5 + world.random())
      const from = until - LIMITS.earlyScanMs * sharing
      await this.#pauses.rest(participant.name, () => {
        const lookAt = this.#hurried.has(participant.name) ? 0 : this.#nextLookAt(participant)
        return {
          mayEndAt: Math.max(soonest, Math.min(from, lookAt)),
          endsAt: Math.max(soonest, Math.min(until, lookAt)),
        }
      })
      if (signal.aborted) return
      this.#hurried.delete(participant.name)
      try {
        const { processes } = await this.#look(participant)
        // Uniform around the mean: processes that started together drift apart.
        pauseMs = LIMITS.scanMs * processes * (0.5 + world.random())
        sharing = processes
      } catch (error) {
        if (isAborted(signal)) return
        this.#setting.report({ type: 'scan-failed', participant: participant.name, error })
        // What was due can't be looked at: wait for the database, not for the branch.
        this.#seen.delete(participant.name)
        pauseMs = LIMITS.scanMs * (0.5 + world.random())
      }
    }
  }

  /** Recovers everything at a participant now. Returns what stays. @throws when it can't be listed */
  async pass(participant: Participant): Promise<readonly InDoubt[]> {
    const { branches } = await this.#list(participant)
    const left: InDoubt[] = []
    await inParallel(LIMITS.recoveriesAtOnce, branches, async (branch) => {
      const judged = this.#judge(participant, branch)
      if (judged === undefined) return
      if (judged.kind === 'alone') {
        left.push(judged.doubt)
        return
      }
      const reason = doubtOf(await this.#round(participant, judged.gid))
      if (reason !== undefined) left.push(this.#doubt(participant, judged.gid, branch, reason))
    })
    return left
  }

  /** Lists without recovering: with the reason of the last look, if there was one. */
  async list(participant: Participant): Promise<readonly InDoubt[]> {
    const { branches } = await this.#list(participant)
    const seen = this.#seenAt(participant)
    return branches.flatMap((branch) => {
      const judged = this.#judge(participant, branch)
      if (judged === undefined) return []
      if (judged.kind === 'alone') return [judged.doubt]
      const reason = seen.get(branch.gid)?.doubt.reason ?? 'not-asked-yet'
      return [this.#doubt(participant, judged.gid, branch, reason)]
    })
  }

  /** What is known of a participant without asking it. */
  sighting(participant: string): Sighting {
    return this.#sightings.of(participant, this.#doubts(participant))
  }

  async #list(participant: Participant): Promise<PreparedList> {
    try {
      const list = await participant.listPrepared()
      this.#sightings.listed(participant.name, list)
      return list
    } catch (error) {
      this.#sightings.failed(participant.name, error, this.#doubts(participant.name))
      throw error
    }
  }

  #doubts(participant: string): readonly InDoubt[] {
    return Array.from(this.#seen.get(participant)?.values() ?? [], ({ doubt }) => doubt)
  }

  /** Lists, and begins rounds for what is due. Says how many processes scan this database. */
  async #look(participant: Participant): Promise<{ readonly processes: number }> {
    const { branches, processes } = await this.#list(participant)
    const before = this.#seenAt(participant)
    const listed = new Map<string, Seen>()
    this.#seen.set(participant.name, listed)
    for (const branch of branches) {
      const seen = this.#consider(participant, branch, before.get(branch.gid))
      if (seen !== undefined) listed.set(branch.gid, seen)
    }
    this.#forgetReports(participant, listed)
    return { processes }
  }

  #consider(
    participant: Participant,
    branch: PreparedBranch,
    before: Seen | undefined,
  ): Seen | undefined {
    const judged = this.#judge(participant, branch)
    if (judged === undefined) return undefined
    const { world } = this.#setting
    if (judged.kind === 'alone') {
      this.#reportOnce(judged.doubt)
      return { doubt: judged.doubt, looks: 0, nextLookAt: Infinity }
    }
    const { gid } = judged
    if (before !== undefined && world.now() < before.nextLookAt) return before
    const looks = before?.looks ?? 0
    const doubt = this.#doubt(participant, gid, branch, before?.doubt.reason ?? 'not-asked-yet')
    const isYoung = looks === 0 && branch.preparedForMs < LIMITS.courtesyMs
    if (isYoung) return { doubt, looks, nextLookAt: world.now() + LIMITS.courtesyMs }
    const isFull = (this.#rounds.get(gid.register) ?? 0) >= LIMITS.roundsAtOnce
    if (isFull) this.#queue(participant, branch, gid, looks + 1)
    else void this.#roundBeside(participant, branch, gid, looks + 1)
    return { doubt, looks: looks + 1, nextLookAt: Infinity }
  }

  /** A round that begins when its register has answered another one. */
  #queue(participant: Participant, branch: PreparedBranch, gid: Gid, looks: number): void {
    const due = this.#due.get(gid.register) ?? []
    this.#due.set(gid.register, due)
    due.push(() => {
      // Somebody may have ended it meanwhile.
      const isListed = this.#seen.get(participant.name)?.has(branch.gid) === true
      if (isListed) void this.#roundBeside(participant, branch, gid, looks)
      return isListed
    })
  }

  /** A round that the scan does not wait for. */
  async #roundBeside(
    participant: Participant,
    branch: PreparedBranch,
    gid: Gid,
    looks: number,
  ): Promise<void> {
    const reason = doubtOf(await this.#round(participant, gid))
    const listed = this.#seen.get(participant.name)
    if (listed?.has(branch.gid) !== true) return
    if (reason === undefined) {
      listed.delete(branch.gid)
      return
    }
    const waitMs = Math.min(LIMITS.scanMs * 5, FIRST_LOOK_MS * 2 ** Math.min(looks - 1, 10))
    const doubt = this.#doubt(participant, gid, branch, reason)
    if (isForAPerson(reason) || reason === 'branch-unclear') this.#reportOnce(doubt)
    listed.set(branch.gid, { doubt, looks, nextLookAt: this.#setting.world.now() + waitMs })
    this.#pauses.reconsider(participant.name)
  }

  async #round(participant: Participant, gid: Gid): Promise<recovery.Verdict> {
    const running = this.#rounds.get(gid.register) ?? 0
    this.#rounds.set(gid.register, running + 1)
    try {
      const verdict = await this.#recovery.round(participant, gid)
      if (verdict === 'committed' || verdict === 'rolled-back') this.#hurryOthers(participant)
      return verdict
    } finally {
      this.#rounds.set(gid.register, (this.#rounds.get(gid.register) ?? 1) - 1)
      this.#beginNext(gid.register)
    }
  }

  /** Whoever left a branch here has probably left others elsewhere. */
  #hurryOthers(participant: Participant): void {
    for (const name of this.#setting.participants.keys()) {
      if (name === participant.name || this.#hurried.has(name)) continue
      this.#hurried.add(name)
      this.#pauses.reconsider(name)
    }
  }

  #beginNext(register: string): void {
    const due = this.#due.get(register) ?? []
    for (let begin = due.shift(); begin !== undefined && !begin(); begin = due.shift());
  }

  #judge(participant: Participant, branch: PreparedBranch): Judged | undefined {
    const { participants } = this.#setting
    return judge(this.#app, participant.name, branch, (name) => participants.has(name))
  }

  #doubt(
    participant: Participant,
    gid: Gid,
    branch: PreparedBranch,
    reason: InDoubtReason,
  ): InDoubt {
    return inDoubtOf(participant.name, gid, branch.ageMs, reason)
  }

  #nextLookAt(participant: Participant): number {
    return Math.min(...[...this.#seenAt(participant).values()].map((seen) => seen.nextLookAt))
  }

  /** Other apps end theirs within moments: only what stays is worth a word. */
  #reportOnce(inDoubt: InDoubt): void {
    if (inDoubt.ageMs < LIMITS.reportAfterMs && !isForAPerson(inDoubt.reason)) return
    const key = `${inDoubt.participant} ${inDoubt.gid} ${inDoubt.reason}`
    if (this.#reported.has(key)) return
    this.#reported.add(key)
    this.#setting.report({ type: 'in-doubt', inDoubt })
  }

  /** What is gone may be reported anew if it comes back; and the set stays as small as the list. */
  #forgetReports(participant: Participant, listed: ReadonlyMap<string, Seen>): void {
    for (const key of this.#reported) {
      const [name, gid = ''] = key.split(' ')
      if (name === participant.name && !listed.has(gid)) this.#reported.delete(key)
    }
  }

  #seenAt(participant: Participant): ReadonlyMap<string, Seen> {
    return this.#seen.get(participant.name) ?? new Map<string, Seen>()
  }
}

/** Its register was asked, and only a person can go on. */
function isForAPerson(reason: InDoubtReason): boolean {
  return reason === 'held' || reason === 'contradicted'
}
