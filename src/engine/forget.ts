/**
 * Forgetting: the marks of transactions that are over, and the epochs that have served.
 *
 * Owns: when a database is gone through, and which epochs are opened and taken off the list.
 * Promises: no leader; of N processes each goes through a database at one in N of the times when it
 * is due, by chance, and anybody goes on where somebody stopped. Something that can't be read or
 * reached pauses what needs it, and is reported. Lost votes and lost decisions that are found on the
 * way are reported.
 * Never: decides what may be deleted. The machines do (`protocol/forgetting.ts`, `witness.ts`).
 */
import { readGid } from '../protocol/index.ts'
import type { Participant } from '../ports/index.ts'
import { Alarms } from './alarms.ts'
import { ForgettingBatch } from './forget-batch.ts'
import { LIMITS } from './limits.ts'
import type { RecoverySetting } from './recover.ts'
import { Troubles } from './troubles.ts'
import { isAborted } from './unless-aborted.ts'
import { lookThroughReceipts } from './witness.ts'

/** Since when, on the clock on the wall, marks pile up, and why. */
export interface Pausing {
  readonly sinceMs: number
  readonly error: unknown
}

export class Forgetting {
  readonly #app: string
  readonly #setting: RecoverySetting
  readonly #retentionMs: number
  readonly #alarms: Alarms
  /** Participants for which a pause was reported, and nothing has gone well since. */
  readonly #paused = new Map<string, Pausing>()

  constructor(app: string, setting: RecoverySetting, retentionMs: number) {
    this.#app = app
    this.#setting = setting
    this.#alarms = new Alarms(app, setting.report)
    this.#retentionMs = retentionMs
  }

  /** Goes through one participant's marks whenever it is due, until the signal. Never rejects. */
  async loop(participant: Participant): Promise<void> {
    const { world, signal } = this.#setting
    for (;;) {
      // Uniform around the mean: processes that started together drift apart.
      await world.rest(this.#everyMs * (0.5 + world.random()), signal)
      if (signal.aborted) return
      try {
        const { processes } = await participant.listPrepared()
        if (world.random() * processes >= 1) continue
        if (await participant.memory.hasMarks()) await this.pass(participant)
      } catch (error) {
        if (isAborted(signal)) return
        this.#pause(participant.name, error)
      }
    }
  }

  /** Whether marks pile up because of this participant. */
  pausing(participant: string): Pausing | undefined {
    return this.#paused.get(participant)
  }

  /** Goes through one participant's marks now. @throws when its own database can't be read */
  async pass(participant: Participant): Promise<void> {
    const troubles = new Troubles()
    await participant.memory.renew(this.#retentionMs / LIMITS.epochsInRetention)
    await this.#unlist(participant, troubles)
    await this.#forgetDecisions(participant, troubles)
    await this.#checkReceipts(participant, troubles)
    const trouble = troubles.first
    if (trouble === undefined) this.#paused.delete(participant.name)
    else this.#pause(...trouble)
  }

  get #everyMs(): number {
    return Math.min(LIMITS.forgetMs, this.#retentionMs / LIMITS.passesInRetention)
  }

  // --- epochs ---------------------------------------------------------------------------------

  /**
   * Takes epochs off the list that were superseded long ago, unless a branch of theirs is still
   * prepared somewhere. Looking is a courtesy: it only spares an honest branch from being held.
   */
  async #unlist(participant: Participant, troubles: Troubles): Promise<void> {
    const superseded = await participant.memory.superseded(this.#retentionMs)
    if (superseded.length === 0) return
    const inUse = new Set<string>()
    for (const [name, each] of this.#setting.participants) {
      try {
        for (const { gid } of (await each.listPrepared()).branches) inUse.add(epochOf(gid))
      } catch (error) {
        troubles.add(name, error)
        return
      }
    }
    const unused = superseded.filter((epoch) => !inUse.has(epoch))
    if (unused.length > 0) await participant.memory.unlist(unused)
  }

  // --- marks ----------------------------------------------------------------------------------

  async #forgetDecisions(register: Participant, troubles: Troubles): Promise<void> {
    const facts = { app: this.#app, setting: this.#setting, alarms: this.#alarms, troubles }
    const batch = new ForgettingBatch({ ...facts, register })
    let from: string | undefined
    do {
      const page = await register.memory.decisions(this.#retentionMs, from)
      await batch.forget(page.marks)
      from = page.next
    } while (from !== undefined && !this.#setting.signal.aborted)
  }

  #checkReceipts(participant: Participant, troubles: Troubles): Promise<void> {
    const { participants, signal } = this.#setting
    const alarms = this.#alarms
    const facts = { app: this.#app, participant, participants, alarms, troubles, signal }
    return lookThroughReceipts(facts, LIMITS.witnessAfterMs)
  }

  #pause(participant: string, error: unknown): void {
    if (this.#paused.has(participant)) return
    this.#paused.set(participant, { sinceMs: this.#setting.world.wallMs(), error })
    this.#setting.report({ type: 'forgetting-paused', participant, error })
  }
}

/** Of any app: an epoch belongs to the database, not to the app. */
function epochOf(gid: string): string {
  const [, app = ''] = gid.split('.')
  const reading = readGid(gid, app)
  return reading.kind === 'ours' ? reading.gid.epoch : ''
}
