/**
 * What somebody on call can do: look at everything, recover, wait until nothing is left, and decide by
 * hand.
 *
 * Owns: the work of the command line, without its words.
 * Promises: starts no loop: it looks, or does what it was told, once. A participant that can't be
 * reached never hides or stops the others: its error stands beside what they say.
 * Never: decides anything but what `resolve` was told to (see `protocol/resolution.ts`).
 */
import type { World } from '../ports/index.ts'
import type { Examination, Resolution } from '../ports/index.ts'
import { contradictionsOf } from './contradictions.ts'
import type { Contradiction } from './contradictions.ts'
import { Elsewhere } from './elsewhere.ts'
import { LIMITS } from './limits.ts'
import { lostDecisions } from './lost.ts'
import type { LostDecisions } from './lost.ts'
import { Recovery } from './recover.ts'
import type { Report } from './reports.ts'
import { Scan } from './scan.ts'
import { showTransaction } from './show.ts'
import type { Shown } from './show.ts'
import { fromEach, listStanding } from './standing.ts'
import type { Listing, Participants, Standing, Unreachable } from './standing.ts'

export interface OperatorSetting {
  readonly app: string
  readonly participants: Participants
  readonly world: World
}

/** What one pass of recovery did. */
export interface Recovered extends Listing {
  readonly ended: readonly Ended[]
  /** Alarms: lost votes and lost decisions. */
  readonly alarms: readonly Report[]
}

export type Ended = Extract<Report, { readonly type: 'recovered' }>

export interface Drained extends Recovered {
  readonly drained: 'nothing of ours is prepared' | 'time is over'
}

/** Between two looks of `drain`. */
const DRAIN_LOOK_MS = 500

export class Operator {
  readonly app: string
  readonly participants: Participants
  /** For one look after the other: what is known stays known. */
  readonly elsewhere: Elsewhere
  readonly #world: World

  constructor({ app, participants, world }: OperatorSetting) {
    this.app = app
    this.participants = participants
    this.#world = world
    this.elsewhere = new Elsewhere(participants, world)
  }

  list(): Promise<Listing> {
    return listStanding(this)
  }

  /** Decisions that were taken without a register which now says otherwise. */
  contradictions(): Promise<readonly Contradiction[]> {
    return contradictionsOf(this.app, this.participants)
  }

  /** Transactions that were applied, and of which their register has no decision. */
  lost(): Promise<LostDecisions> {
    return lostDecisions(this.app, this.participants)
  }

  /** What is known of one transaction. @throws AssentError `ASSENT_ID` */
  show(id: string): Promise<Shown | undefined> {
    return showTransaction(this, id)
  }

  /** One pass over everything that is prepared, and what stays after it. */
  async recover(): Promise<Recovered> {
    const ended: Ended[] = []
    const alarms: Report[] = []
    const setting = {
      participants: this.participants,
      world: this.#world,
      report: (report: Report) => {
        if (report.type === 'recovered') ended.push(report)
        if (report.type === 'lost-vote' || report.type === 'lost-decision') alarms.push(report)
      },
      signal: new AbortController().signal,
      elsewhere: this.elsewhere,
    }
    // Before the first branch ends: what is found lost makes its siblings wait as well.
    await this.list()
    const scan = new Scan(this.app, setting, new Recovery(setting))
    // Whoever can't be listed is found so again below.
    await fromEach(this.participants, (each) => scan.pass(each))
    return { ...(await this.list()), ended, alarms }
  }

  /** Passes of recovery until nothing of this app is prepared anywhere, or time is over. */
  async drain(timeoutMs: number): Promise<Drained> {
    const until = this.#world.now() + timeoutMs
    const ended: Ended[] = []
    const alarms: Report[] = []
    for (;;) {
      const pass = await this.recover()
      ended.push(...pass.ended)
      alarms.push(...pass.alarms)
      const isDrained = pass.unreachable.length === 0 && pass.standing.every(isNotOurs)
      const leftMs = until - this.#world.now()
      if (!isDrained && leftMs > 0) {
        await this.#world.sleep(Math.min(DRAIN_LOOK_MS, leftMs), new AbortController().signal)
        continue
      }
      const drained = isDrained ? 'nothing of ours is prepared' : 'time is over'
      return { ...pass, ended, alarms, drained }
    }
  }

  /** What each database is like. */
  async examine(): Promise<{
    readonly examinations: ReadonlyMap<string, Examination>
    readonly unreachable: readonly Unreachable[]
  }> {
    const { answers, unreachable } = await fromEach(this.participants, (each) => each.examine())
    return { examinations: answers, unreachable }
  }

  /** Creates the tables everywhere, or only gives their SQL. */
  async migrate(options: { readonly print: boolean }): Promise<{
    readonly sql: ReadonlyMap<string, string>
    readonly unreachable: readonly Unreachable[]
  }> {
    const { answers, unreachable } = await fromEach(this.participants, (each) =>
      each.migrate(options),
    )
    return { sql: answers, unreachable }
  }

  /** Everything that was decided by hand, as each participant has it recorded. */
  async resolutions(): Promise<readonly Resolution[]> {
    const { answers } = await fromEach(this.participants, (each) => each.byHand.resolutions())
    return [...answers.values()].flat().filter(({ app }) => app === this.app)
  }

  /** Ends the connections. What hangs is not waited for longer than a while. */
  async close(): Promise<void> {
    const waited = new AbortController()
    const closing = [...this.participants.values()].map((each) => each.close())
    await Promise.race([
      Promise.allSettled(closing),
      this.#world.sleep(LIMITS.closeMs, waited.signal),
    ])
    waited.abort()
  }
}

/** Of another app, or of nobody that can be told. */
export function isNotOurs({ reason }: Standing): boolean {
  return reason === 'other-app' || reason === 'unreadable'
}
