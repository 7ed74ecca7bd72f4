/**
 * Owns: what ends the branches that a killed owner left behind: Assent in another process, or one
 * that a test has planted to be wrong.
 */
import { createAssent } from 'assent'
import type { Report } from 'assent'
import type { CrashCluster } from './crash-cluster.ts'
import { APP } from './doomed-setting.ts'
import { definitionsOf, reach } from './reached.ts'

export interface Recoverer extends AsyncDisposable {
  /** One try to end everything that is prepared. */
  recover(): Promise<void>
  /** What it says has become of a transaction, after waiting for it at most so long. */
  outcome(id: string, waitMs?: number): Promise<string>
  /** What it had to alarm a person of. */
  readonly alarms: readonly string[]
  /** The participants whose branch decided, and was found prepared. */
  readonly foundPrepared: readonly string[]
}

const OUTCOME_MS = 5_000

export type RecovererOf = (cluster: CrashCluster) => Recoverer

/** A fresh Assent in this process, with default settings: it scans by itself as well. */
export function assentRecoverer(cluster: CrashCluster): Recoverer {
  const reached = cluster.databases.map(({ name, system, url }) =>
    reach({ name, system, url, max: 1 }),
  )
  const alarms: string[] = []
  const foundPrepared: string[] = []
  const assent = createAssent({
    app: APP,
    participants: definitionsOf(reached),
    onReport: (report) => {
      if (report.type === 'decider-prepared') foundPrepared.push(report.participant)
      else if (isAlarm(report)) alarms.push(JSON.stringify(report))
    },
  })
  return {
    ...{ alarms, foundPrepared },
    recover: async () => {
      await assent.recover()
    },
    outcome: async (id, waitMs = OUTCOME_MS) => {
      const answer = await assent.outcome(id, { waitMs })
      return answer.outcome === 'unknown' ? `unknown: ${answer.reason}` : answer.outcome
    },
    [Symbol.asyncDispose]: async () => {
      await assent.close()
      await Promise.all(reached.map((each) => each.end()))
    },
  }
}

/** A decider that is found prepared is told of, and nothing for a person to do. */
export function isAlarm({ type }: Report): boolean {
  return !['recovered', 'scan-failed', 'decider-prepared'].includes(type)
}

/** Ends whatever is listed one and the same way, without asking anybody. */
export function blindRecoverer(ending: 'COMMIT' | 'ROLLBACK'): RecovererOf {
  return (cluster) => ({
    ...sleepingRecoverer(cluster),
    recover: async () => {
      for (const listed of await cluster.prepared()) {
        const [name = '', gid = ''] = listed.split(' ')
        await cluster.database(name).endByHand(gid, ending)
      }
    },
  })
}

/** Never ends anything. What the outcome is, Assent is asked afterwards. */
export function sleepingRecoverer(cluster: CrashCluster): Recoverer {
  return {
    alarms: [],
    foundPrepared: [],
    recover: () => Promise.resolve(),
    outcome: async (id, waitMs) => {
      await using assent = assentRecoverer(cluster)
      return await assent.outcome(id, waitMs)
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
