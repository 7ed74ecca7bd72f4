/**
 * A process or a server of a transaction over PostgreSQL and MariaDB stands still for longer than anybody
 * waits. On MariaDB a prepared branch is its connection's: recovery ends that connection once the
 * decision is known, and the process that wakes up is told the truth.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import { signalTree } from '../../harness/process-table.ts'
import { missesOf, recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { PAIRS, chosen } from '../crash/pairs.ts'
import type { PairName } from '../crash/pairs.ts'
import { assentRecoverer } from '../crash/recoverer.ts'
import { forgetAll, pauseUntilEnded } from './pause-suite.ts'

const usual: readonly PairName[] = [
  'postgres decides, mariadb votes',
  'mariadb with a binary log decides, mariadb votes',
]
const others: readonly PairName[] = ['mariadb decides, postgres votes']

describe.each(chosen(usual, others))('%s', (name) => {
  const pair = PAIRS[name]
  const { scenario, golden, hasBinlogDecider } = pair
  let cluster: CrashCluster

  beforeAll(async () => {
    cluster = await CrashCluster.start(pair.databases)
  })

  afterAll(async () => {
    await cluster.remove()
  })

  test('stopped after its vote until its claim is gone: aborted, and told so (fault 45)', async () => {
    const point = { message: 'stock vote 1', stage: 'processed, not answered' } as const
    expect(await pauseUntilEnded(cluster, pair, point, 'aborted')).toEqual({
      whilePaused: 'unknown: running',
      told: 'aborted',
      disagreements: [],
    })
  })

  test('stopped with its COMMIT on the way until all is forgotten: aborted, and never told otherwise (fault 45, fault 46)', async () => {
    const point = { message: 'orders decide 1', stage: 'sent, not processed' } as const
    const forget = (): Promise<void> => forgetAll(cluster)
    const paused = await pauseUntilEnded(cluster, pair, point, 'aborted', forget)
    expect(paused).toMatchObject({ whilePaused: 'unknown: running', disagreements: [] })
    // Nothing in its register tells an abort from a commit that was forgotten.
    expect(['aborted', 'unknown']).toContain(paused.told)
  })

  test('stopped after the decision: ended as decided all the same, and told so (fault 45)', async () => {
    const message = hasBinlogDecider ? 'orders finish 1' : 'orders decide 1'
    const point = { message, stage: 'processed, not answered' } as const
    expect(await pauseUntilEnded(cluster, pair, point, 'committed')).toEqual({
      whilePaused: 'committed',
      told: 'committed',
      disagreements: [],
    })
  })

  if (hasBinlogDecider) {
    test('stopped when its decider is prepared: committed by others, never told otherwise (fault 45)', async () => {
      const point = { message: 'orders decide 1', stage: 'processed, not answered' } as const
      const { told, disagreements } = await pauseUntilEnded(cluster, pair, point, 'committed')
      expect(disagreements).toEqual([])
      // Its time was over when it woke up, and its connection gone: it may not know.
      expect(['committed', 'unknown']).toContain(told)
    })
  }

  test('the decider’s server stands still during its commit: nobody guesses, then it goes on (fault 47)', async () => {
    const point = { message: 'orders decide 1', stage: 'sent, not processed' } as const
    const orders = cluster.database('orders')
    await using recoverer = assentRecoverer(cluster)
    const seen = Promise.withResolvers<readonly [string, number]>()
    const act = (owner: DoomedProcess) => {
      signalTree(orders.server.pid, 'SIGSTOP')
      void look(owner).then(seen.resolve, seen.reject)
      return 'pass' as const
    }
    async function look(owner: DoomedProcess): Promise<readonly [string, number]> {
      try {
        const [began] = owner.notes
        const txid = began?.note === 'began' ? began.txid : ''
        const outcome = await recoverer.outcome(`A1.crash.orders.${epoch}.${txid}`, 0)
        return [outcome, (await cluster.database('stock').prepared()).length]
      } finally {
        signalTree(orders.server.pid, 'SIGCONT')
      }
    }
    await using owner = await DoomedProcess.start(cluster, 'transfer', scenario, { point, act })
    const epoch = (await orders.newestEpoch()) ?? ''
    expect(await owner.run()).toBe('exit code 0')
    expect(await seen.promise).toEqual(['unknown: unreachable', 1])
    expect(owner.notes.at(-1)).toEqual({ note: 'answered', outcome: 'committed' })
    const judged = await recoverAndJudge({ cluster, scenario, golden }, owner, 'committed')
    expect(judged.disagreements).toEqual([])
  })

  test('who recovers is stopped inside its question: the others wait, and end it (fault 48)', async () => {
    const died = { message: 'stock vote 1', stage: 'answered' } as const
    await using owner = await DoomedProcess.start(cluster, 'transfer', scenario, { point: died })
    expect(missesOf(owner, await owner.run(), died, golden)).toEqual([])
    let leftWhileHeld: number | undefined
    const act = (paused: DoomedProcess) =>
      paused.pauseDuring(async () => {
        // Only now: it scans by itself, and would be faster than the one that is to be stopped.
        await using other = assentRecoverer(cluster)
        await other.recover()
        leftWhileHeld = (await cluster.prepared()).length
        const isEnded = async () => (await cluster.prepared()).length === 0
        await eventually('another to end it', isEnded, { timeoutMs: 30_000 })
      })
    const strike = {
      point: { message: 'orders remember 1', stage: 'sent, not processed' },
      act,
    } as const
    await using sleeper = await DoomedProcess.start(cluster, 'recover', scenario, strike)
    expect(await sleeper.run()).toBe('exit code 0')
    expect(leftWhileHeld).toBe(1)
    const judged = await recoverAndJudge({ cluster, scenario, golden }, owner, 'aborted')
    expect(judged.disagreements).toEqual([])
  })
})
