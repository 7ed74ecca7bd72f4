/**
 * A process or a server stands still for longer than anybody waits for it. No lease protects what
 * it holds: the server's idle time-out ends its session, and whoever wakes up finds its claim gone.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { AssentError, createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { killableStream } from '../../harness/killable-stream.ts'
import { signalTree } from '../../harness/process-table.ts'
import { recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import type { CrashPoint } from '../crash/crash-points.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { fullId } from '../crash/oracle.ts'
import { assentRecoverer } from '../crash/recoverer.ts'
import { goldenOfTwo, writesInTwo } from '../crash/two-databases.ts'
import { rejection } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import { kindOfMessage } from '../support/message-kinds.ts'
import { pauseUntilEnded } from './pause-suite.ts'

let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
})

test.each<CrashPoint>([
  { message: 'stock vote 1', stage: 'processed, not answered' },
  { message: 'orders decide 1', stage: 'sent, not processed' },
])('stopped at $message, $stage until its claim is gone: aborted (fault 45)', async (point) => {
  const pair = { scenario: writesInTwo, golden: goldenOfTwo }
  expect(await pauseUntilEnded(cluster, pair, point, 'aborted')).toEqual({
    whilePaused: 'unknown: running',
    // Its time was over when it woke up: if COMMIT had left it by then, it may not say "aborted".
    told: point.message === 'stock vote 1' ? 'aborted' : 'unknown',
    disagreements: [],
  })
})

test('the decider’s server stands still during COMMIT: nobody guesses, then it goes on (fault 47)', async () => {
  const point = { message: 'orders decide 1', stage: 'sent, not processed' } as const
  await using recoverer = assentRecoverer(cluster)
  const [orders, stock] = [cluster.database('orders'), cluster.database('stock')]
  const seen: unknown[] = []
  const act = (paused: DoomedProcess) => {
    signalTree(orders.server.pid, 'SIGSTOP')
    void judge(paused)
    return 'pass' as const
  }
  async function judge(paused: DoomedProcess): Promise<void> {
    try {
      const began = paused.notes.find((note) => note.note === 'began')
      seen.push(await recoverer.outcome(`A1.crash.orders.${epoch}.${began?.txid ?? ''}`, 0))
      seen.push(await stock.sql('select count(*)::int as n from pg_prepared_xacts'))
    } finally {
      signalTree(orders.server.pid, 'SIGCONT')
    }
  }
  await using owner = await DoomedProcess.start(cluster, 'transfer', writesInTwo, { point, act })
  const epoch = (await fullId(cluster, 'orders', 'x')).split('.')[3] ?? ''
  expect(await owner.run()).toBe('exit code 0')
  expect(seen).toEqual(['unknown: unreachable', [{ n: 1 }]])
  expect(owner.notes.at(-1)).toEqual({ note: 'answered', outcome: 'committed' })
  const setting = { cluster, scenario: writesInTwo, golden: goldenOfTwo }
  expect((await recoverAndJudge(setting, owner, 'committed')).disagreements).toEqual([])
})

test.each([
  ['shorter than the time it has', 700, 'committed'],
  ['longer than its sessions may idle', 7_000, 'aborted'],
] as const)(
  'the event loop stands still between PREPARE and COMMIT, %s: %i ms, %s (fault 52)',
  async (_what, stallMs, fate) => {
    const [orders, stock] = [await freshDatabase('first'), await freshDatabase('second')]
    let isArmed = false
    const stream = killableStream({
      afterAnswer: (_answer, message) => {
        if (!isArmed || kindOfMessage(message) !== 'vote') return
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs)
      },
    })
    const pool = new pg.Pool({ connectionString: stock.url, stream })
    const assent = createAssent({
      app: 'shop',
      participants: { orders: participant(orders.pool), stock: participant(pool) },
    })
    onTestFinished(async () => {
      await assent.close()
      await pool.end()
    })
    const write = (timeoutMs: number): Promise<void> =>
      assent.transaction(
        async (db) => {
          await db.stock.query('insert into t values (1)')
          await db.orders.query('insert into t values (1)')
        },
        { timeoutMs },
      )
    await write(5_000)
    isArmed = true
    if (fate === 'committed') await write(5_000)
    else {
      // Whether COMMIT still left, into a closed connection, is up to the event loop.
      const error = await rejection(write(500))
      expect(error).toBeInstanceOf(AssentError)
      const { transactionId = '', outcome } = error as AssentError
      expect(outcome).not.toBe('committed')
      expect(await assent.outcome(transactionId)).toEqual({ outcome: 'aborted' })
    }
    const rows = fate === 'committed' ? 2 : 1
    await expect.poll(() => stock.prepared()).toEqual([])
    expect([await orders.count(), await stock.count()]).toEqual([rows, rows])
  },
)
