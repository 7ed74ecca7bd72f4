/**
 * Counting what transactions did and how long it took.
 *
 * Owns: the counters and histograms of one Assent object, all made beforehand: the commit path adds
 * to numbers and makes nothing.
 * Never: knows how they are printed.
 */
import type { Outcome } from '../protocol/index.ts'
import type { Report } from './reports.ts'

/** The messages of the commit path, as in the ordering table; a commit in one phase decides. */
export const PHASES = ['claim', 'commit-reader', 'vote', 'decide', 'apply', 'undo'] as const
export type Phase = (typeof PHASES)[number]

/** `none`: ended before the roles were settled, which is: rolled back. */
export const PROTOCOLS = ['one-phase', 'two-phase', 'none'] as const
export type ProtocolLabel = (typeof PROTOCOLS)[number]

/** Upper bounds in seconds: from a message within one machine to one that waits for a lock. */
export const BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const

export class Histogram {
  /** One more than there are bounds: the last is everything beyond. Not cumulative. */
  readonly counts: number[] = new Array<number>(BUCKETS.length + 1).fill(0)
  sumSeconds = 0

  observe(ms: number): void {
    const seconds = ms / 1_000
    let at = 0
    while (at < BUCKETS.length && seconds > (BUCKETS[at] ?? Infinity)) at += 1
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.sumSeconds += seconds
  }
}

/** What was reported of a participant since this process began. */
export interface Reported {
  committed: number
  aborted: number
  'lost-vote': number
  'lost-decision': number
  vanished: number
}

export class ParticipantMeters {
  readonly phases = {
    claim: new Histogram(),
    'commit-reader': new Histogram(),
    vote: new Histogram(),
    decide: new Histogram(),
    apply: new Histogram(),
    undo: new Histogram(),
  } as const satisfies Record<Phase, Histogram>
  readonly poolWait = new Histogram()
  readonly reported: Reported = {
    committed: 0,
    aborted: 0,
    'lost-vote': 0,
    'lost-decision': 0,
    vanished: 0,
  }
}

class ProtocolMeters {
  readonly outcomes: Record<Outcome, number> = { committed: 0, aborted: 0, unknown: 0 }
  readonly duration = new Histogram()
}

export class Meters {
  readonly participants: ReadonlyMap<string, ParticipantMeters>
  readonly protocols: Readonly<Record<ProtocolLabel, ProtocolMeters>> = {
    'one-phase': new ProtocolMeters(),
    'two-phase': new ProtocolMeters(),
    none: new ProtocolMeters(),
  }

  constructor(participants: Iterable<string>) {
    this.participants = new Map(Array.from(participants, (name) => [name, new ParticipantMeters()]))
  }

  /** A run of the user's function has ended, and its caller is told. */
  ended(protocol: ProtocolLabel, outcome: Outcome, ms: number): void {
    const meters = this.protocols[protocol]
    meters.outcomes[outcome] += 1
    meters.duration.observe(ms)
  }

  /** A message was answered. */
  answered(participant: string, phase: Phase, ms: number): void {
    this.participants.get(participant)?.phases[phase].observe(ms)
  }

  waitedForPool(participant: string, ms: number): void {
    this.participants.get(participant)?.poolWait.observe(ms)
  }

  hear(report: Report): void {
    if (!('participant' in report)) return
    const reported = this.participants.get(report.participant)?.reported
    if (reported === undefined) return
    if (report.type === 'recovered') reported[report.outcome] += 1
    if (report.type === 'lost-vote' || report.type === 'lost-decision') reported[report.type] += 1
    if (report.type === 'vanished') reported.vanished += 1
  }
}
