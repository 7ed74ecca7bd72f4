/**
 * Owns: what ends the branches that a killed owner left behind: Assent in another process, or one
 * that a test has planted to be wrong.
 */
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import type { CrashCluster } from './crash-cluster.ts'
import { APP } from './doomed-setting.ts'

export interface Recoverer extends AsyncDisposable {
  /** One try to end everything that is prepared. */
  recover(): Promise<void>
  /** What it says has become of a transaction, after waiting for it at most so long. */
  outcome(id: string, waitMs?: number): Promise<string>
  /** What it had to alarm a person of. */
  readonly alarms: readonly string[]
}

const OUTCOME_MS = 5_000

export type RecovererOf = (cluster: CrashCluster) => Recoverer

/** A fresh Assent in this process, with default settings: it scans by itself as well. */
export function assentRecoverer(cluster: CrashCluster): Recoverer {
  const pools = cluster.databases.map(({ name, server }) => {
    const pool = new pg.Pool({ connectionString: server.url(), max: 1 })
    return { name, pool }
  })
  const alarms: string[] = []
  const assent = createAssent({
    app: APP,
    participants: Object.fromEntries(pools.map(({ name, pool }) => [name, participant(pool)])),
    onReport: (report) => {
      const isAlarm = report.type !== 'recovered' && report.type !== 'scan-failed'
      if (isAlarm) alarms.push(JSON.stringify(report))
    },
  })
  return {
    alarms,
    recover: async () => {
      await assent.recover()
    },
    outcome: async (id, waitMs = OUTCOME_MS) => {
      const answer = await assent.outcome(id, { waitMs })
      return answer.outcome === 'unknown' ? `unknown: ${answer.reason}` : answer.outcome
    },
    [Symbol.asyncDispose]: async () => {
      await assent.close()
      await Promise.all(pools.map(({ pool }) => pool.end()))
    },
  }
}

/** Ends whatever is listed one and the same way, without asking anybody. */
export function blindRecoverer(ending: 'COMMIT' | 'ROLLBACK'): RecovererOf {
  return (cluster) => ({
    ...sleepingRecoverer(cluster),
    recover: async () => {
      for (const listed of await cluster.prepared()) {
        const [name = '', gid = ''] = listed.split(' ')
        await cluster.database(name).sql(`${ending} PREPARED '${gid}'`)
      }
    },
  })
}

/** Never ends anything. What the outcome is, Assent is asked afterwards. */
export function sleepingRecoverer(cluster: CrashCluster): Recoverer {
  return {
    alarms: [],
    recover: () => Promise.resolve(),
    outcome: async (id, waitMs) => {
      await using assent = assentRecoverer(cluster)
      return await assent.outcome(id, waitMs)
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
