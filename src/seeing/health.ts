/**
 * `assent.health()`: what a readiness check and whoever is on call want to know at once.
 *
 * Owns: what counts as failing, what as degraded, and the sentences.
 * Promises: asks no database; has no gid and no connection string in it.
 */
import { AssentError } from '../protocol/index.ts'
import { WAITS_FOR_A_PERSON, codeOf } from '../engine/index.ts'
import type { InDoubtReason, Sighting } from '../engine/index.ts'
import type { Known } from './known.ts'

/**
 * What `assent.health()` resolves with: plain data, for a readiness check.
 *
 * @example
 * ```ts
 * import type { Assent } from 'assent'
 *
 * export async function ready(assent: Assent): Promise<Response> {
 *   const health = await assent.health()
 *   return Response.json(health, { status: health.status === 'failing' ? 503 : 200 })
 * }
 * ```
 */
export interface Health {
  /**
   * `failing`: a participant can't be reached, or was not looked at yet; a transaction that uses it
   * would abort. `degraded`: all can be reached, and somebody should look. `ok`: neither.
   */
  readonly status: 'ok' | 'degraded' | 'failing'
  /** Why it isn't `ok`, in sentences, the worst first. */
  readonly reasons: readonly string[]
  readonly participants: Readonly<Record<string, ParticipantHealth>>
}

/** One participant in `Health`. What isn't known is null. */
export interface ParticipantHealth {
  /** As of its last scan: about one a second, less often where many processes share the work. */
  readonly reachable: 'yes' | 'no' | 'not known yet'
  /** When that was, in ISO 8601. */
  readonly scannedAt: string | null
  /** What is prepared here and not ended, by reason; as it was last seen where it can't be reached. */
  readonly inDoubt: readonly {
    readonly reason: InDoubtReason
    readonly transactions: number
    readonly oldestMs: number | null
  }[]
  /** The age of the oldest branch that is prepared here, of whomever. */
  readonly oldestPreparedMs: number | null
  /**
   * On PostgreSQL: how many transactions began since the oldest one that is prepared here, which
   * VACUUM can't clean up after. 0 when nothing is prepared.
   */
  readonly xminHorizonTransactions: number | null
  /** Whether old marks are deleted, or pile up because this participant can't be read. */
  readonly forgetting:
    | { readonly state: 'running' }
    | { readonly state: 'paused'; readonly since: string; readonly why: string }
  /** Work that this process found lost here since it began; each was told to `onReport`. */
  readonly alarms: {
    readonly lostVotes: number
    readonly lostDecisions: number
    readonly vanished: number
  }
}

/** A branch may be prepared for moments in any transaction: in doubt for longer, somebody should know. */
export const DOUBTFUL_AFTER_MS = 60_000
/** Seen a moment too early, these are another process's that is about to end them. */
export const PERSON_AFTER_MS = 5_000

export function healthOf(known: Known, participants: Iterable<string>): Health {
  const failing: string[] = []
  const degraded: string[] = []
  const entries = Array.from(participants, (name) => {
    const sighting = known.sighting(name)
    const health = participantHealth(known, name, sighting)
    failing.push(...whyFailing(name, sighting, health))
    degraded.push(...whyDegraded(name, health, sighting))
    return [name, health] as const
  })
  const status = failing.length > 0 ? 'failing' : degraded.length > 0 ? 'degraded' : 'ok'
  return { status, reasons: [...failing, ...degraded], participants: Object.fromEntries(entries) }
}

/** Of an Assent object that was closed. */
export const CLOSED: Health = {
  status: 'failing',
  reasons: ['This Assent object was closed.'],
  participants: {},
}

function participantHealth(known: Known, name: string, sighting: Sighting): ParticipantHealth {
  const pausing = known.pausing(name)
  const reported = known.meters.participants.get(name)?.reported
  return {
    reachable: sighting.reached,
    scannedAt: sighting.scannedAtMs === undefined ? null : iso(sighting.scannedAtMs),
    inDoubt: byReason(sighting),
    oldestPreparedMs: rounded(sighting.oldestPreparedMs),
    xminHorizonTransactions: sighting.horizonTransactions ?? null,
    forgetting:
      pausing === undefined
        ? { state: 'running' }
        : { state: 'paused', since: iso(pausing.sinceMs), why: textOf(pausing.error) },
    alarms: {
      lostVotes: reported?.['lost-vote'] ?? 0,
      lostDecisions: reported?.['lost-decision'] ?? 0,
      vanished: reported?.vanished ?? 0,
    },
  }
}

function byReason({ inDoubt }: Sighting): ParticipantHealth['inDoubt'] {
  return [...Map.groupBy(inDoubt, ({ reason }) => reason)].map(([reason, doubts]) => {
    const ages = doubts.flatMap(({ ageMs }) => ageMs ?? [])
    const oldestMs = ages.length === 0 ? null : rounded(Math.max(...ages))
    return { reason, transactions: doubts.length, oldestMs }
  })
}

function whyFailing(
  name: string,
  { error }: Sighting,
  { reachable, scannedAt }: ParticipantHealth,
): readonly string[] {
  switch (reachable) {
    case 'yes':
      return []
    case 'no':
      return [`${name} could not be reached at ${scannedAt ?? ''}: ${textOf(error)}`]
    case 'not known yet':
      return [`${name} was not looked at yet: this takes about a second from the start.`]
  }
}

function whyDegraded(
  name: string,
  health: ParticipantHealth,
  { scan }: Sighting,
): readonly string[] {
  const { inDoubt, forgetting, alarms } = health
  const reasons: string[] = []
  if (scan !== undefined && scan.agoMs > scan.dueMs) {
    const seconds = Math.round(scan.agoMs / 1_000)
    reasons.push(
      `${name} was last looked at ${seconds} s ago: recovery hangs, or this process did.`,
    )
  }
  const alarm = (count: number, text: string): void => {
    if (count > 0) reasons.push(`${name} ${text} (${count} reported by this process).`)
  }
  alarm(alarms.lostVotes, 'lost work that was committed elsewhere: do it again by hand')
  alarm(alarms.lostDecisions, 'has work whose decision is gone: compare it with its register')
  alarm(alarms.vanished, 'has neither branch nor receipt of a commit: compare it by hand')
  for (const { reason, transactions, oldestMs } of inDoubt) {
    const isForPerson = WAITS_FOR_A_PERSON.includes(reason)
    const isOld = (oldestMs ?? Infinity) >= (isForPerson ? PERSON_AFTER_MS : DOUBTFUL_AFTER_MS)
    if (!isOld || reason === 'other-app') continue
    const waits = isForPerson ? 'waits for a person' : 'is in doubt'
    const age = oldestMs === null ? '' : `, the oldest for ${Math.round(oldestMs / 1_000)} s`
    reasons.push(`${name} has ${transactions} prepared: ${waits} (${reason})${age}.`)
  }
  if (forgetting.state === 'paused') {
    reasons.push(
      `Old marks pile up since ${forgetting.since} because of ${name}: ${forgetting.why}`,
    )
  }
  return reasons
}

/** Assent's own errors have no secrets in them; of others, only what they are called is said. */
function textOf(error: unknown): string {
  if (error instanceof AssentError) return error.message
  return `an error called ${codeOf(error) ?? typeof error}.`
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString()
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms)
}
