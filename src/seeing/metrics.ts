/**
 * `assent.metrics()`: everything that is counted, as OpenMetrics text.
 *
 * Owns: the names, labels and meanings of the metrics.
 * Promises: never a txid, a gid or anything of a user's in a label; a series that is there once
 * stays, at 0, so that an alert on it ends.
 */
import { BUCKETS, IN_DOUBT_REASONS, PHASES, PROTOCOLS } from '../engine/index.ts'
import type { Meters, ParticipantMeters, Sighting } from '../engine/index.ts'
import type { Known } from './known.ts'
import { END, familyText } from './open-metrics.ts'
import type { Family, Labels, Sample } from './open-metrics.ts'
import { VERSION } from './version.ts'

/** What the media type of the text is. */
export const METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

interface Participant {
  readonly labels: Labels
  readonly meters: ParticipantMeters
  readonly sighting: Sighting
  readonly isPaused: boolean
}

interface Facts {
  readonly meters: Meters
  readonly participants: readonly Participant[]
}

export interface Metric extends Family {
  readonly labels: readonly string[]
  readonly samples: (facts: Facts) => readonly Sample[]
}

const OUTCOMES = ['committed', 'aborted', 'unknown'] as const
const ENDS = ['committed', 'aborted'] as const
const LOSSES = ['lost-vote', 'lost-decision', 'vanished'] as const

/** Every metric, in the order in which it is printed; docs/operate/seeing.md has the same. */
export const METRICS: readonly Metric[] = [
  {
    name: 'assent_build',
    type: 'info',
    help: 'The version of Assent.',
    labels: ['version'],
    samples: () => [{ labels: { version: VERSION }, value: 1 }],
  },
  {
    name: 'assent_transactions',
    type: 'counter',
    help: 'Transactions that ended, each attempt of a retried one.',
    labels: ['protocol', 'outcome'],
    samples: ({ meters }) =>
      PROTOCOLS.flatMap((protocol) =>
        OUTCOMES.map((outcome) => ({
          labels: { protocol, outcome },
          value: meters.protocols[protocol].outcomes[outcome],
        })),
      ),
  },
  {
    name: 'assent_transaction_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'From the start of the function until its caller is told.',
    labels: ['protocol'],
    samples: ({ meters }) =>
      PROTOCOLS.map((protocol) => ({
        labels: { protocol },
        histogram: meters.protocols[protocol].duration,
      })),
  },
  {
    name: 'assent_branch_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'From a message of the commit path until its answer.',
    labels: ['participant', 'phase'],
    samples: ({ participants }) =>
      participants.flatMap(({ labels, meters }) =>
        PHASES.map((phase) => ({
          labels: { ...labels, phase },
          histogram: meters.phases[phase],
        })),
      ),
  },
  {
    name: 'assent_pool_wait_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'How long a branch waited for a connection of your pool.',
    labels: ['participant'],
    samples: ({ participants }) =>
      participants.map(({ labels, meters }) => ({ labels, histogram: meters.poolWait })),
  },
  gauge('assent_participant_reachable', {
    help: '1 if the last scan reached the database; absent before the first.',
    value: ({ sighting: { reached } }) =>
      reached === 'not known yet' ? undefined : Number(reached === 'yes'),
  }),
  {
    name: 'assent_in_doubt_transactions',
    type: 'gauge',
    help: 'Prepared branches whose end is open, as of the last scan that reached the database.',
    labels: ['participant', 'reason'],
    samples: ({ participants }) =>
      participants.flatMap(({ labels, sighting }) =>
        IN_DOUBT_REASONS.map((reason) => ({
          labels: { ...labels, reason },
          value: sighting.inDoubt.filter((doubt) => doubt.reason === reason).length,
        })),
      ),
  },
  gauge('assent_in_doubt_age_seconds', {
    unit: 'seconds',
    help: 'The age of the oldest of them; 0 when there is none.',
    value: ({ sighting }) =>
      Math.max(0, ...sighting.inDoubt.map(({ ageMs }) => ageMs ?? 0)) / 1_000,
  }),
  gauge('assent_oldest_prepared_seconds', {
    unit: 'seconds',
    help: 'The age of the oldest prepared branch, of whomever; 0 when there is none.',
    value: ({ sighting }) => (sighting.oldestPreparedMs ?? 0) / 1_000,
  }),
  gauge('assent_xmin_horizon_transactions', {
    help: 'Transactions begun since the oldest prepared one, which VACUUM can’t clean up after (PostgreSQL).',
    value: ({ sighting }) => sighting.horizonTransactions,
  }),
  gauge('assent_forgetting_paused', {
    help: '1 while old marks pile up because this participant can’t be read.',
    value: ({ isPaused }) => Number(isPaused),
  }),
  {
    name: 'assent_recoveries',
    type: 'counter',
    help: 'Branches that this process ended for another one, or for itself after a lost answer.',
    labels: ['participant', 'result'],
    samples: ({ participants }) => reported(participants, 'result', ENDS),
  },
  {
    name: 'assent_heuristic_outcomes',
    type: 'counter',
    help: 'Branches found to have ended otherwise than decided: each needs a person.',
    labels: ['participant', 'kind'],
    samples: ({ participants }) => reported(participants, 'kind', LOSSES),
  },
]

export function metricsText(known: Known, names: Iterable<string>): string {
  const participants = Array.from(names).flatMap((name): readonly Participant[] => {
    const meters = known.meters.participants.get(name)
    if (meters === undefined) return []
    const isPaused = known.pausing(name) !== undefined
    const labels = { participant: name }
    return [{ labels, meters, sighting: known.sighting(name), isPaused }]
  })
  const facts = { meters: known.meters, participants }
  return METRICS.map((metric) => familyText(metric, metric.samples(facts), BUCKETS)).join('') + END
}

function gauge(
  name: string,
  {
    value,
    ...family
  }: {
    readonly unit?: string
    readonly help: string
    /** Undefined where there is nothing to say of a participant. */
    readonly value: (participant: Participant) => number | undefined
  },
): Metric {
  return {
    name,
    type: 'gauge',
    ...family,
    labels: ['participant'],
    samples: ({ participants }) =>
      participants.flatMap((participant) => {
        const measured = value(participant)
        return measured === undefined ? [] : [{ labels: participant.labels, value: measured }]
      }),
  }
}

function reported(
  participants: readonly Participant[],
  label: string,
  kinds: readonly (typeof ENDS | typeof LOSSES)[number][],
): readonly Sample[] {
  return participants.flatMap(({ labels, meters }) =>
    kinds.map((kind) => ({ labels: { ...labels, [label]: kind }, value: meters.reported[kind] })),
  )
}
