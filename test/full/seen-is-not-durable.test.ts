/**
 * InnoDB shows a commit before it is written. Who asks a register therefore obeys nothing that it only
 * sees: a decider whose server dies before its flush has decided nothing, and nobody acted on it.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import { HeldFlush } from '../../harness/held-flush.ts'
import { recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { PAIRS } from '../crash/pairs.ts'
import { assentRecoverer } from '../crash/recoverer.ts'

const { scenario, golden } = PAIRS['mariadb decides, postgres votes']
const held = new HeldFlush()
let cluster: CrashCluster

beforeAll(async () => {
  const orders = { name: 'orders', system: 'mariadb', env: held.env } as const
  cluster = await CrashCluster.start([orders, { name: 'stock', system: 'postgres' }])
})

afterAll(async () => {
  held.release()
  await cluster.remove()
  held.remove()
})

test('a decision that was seen, and lost before it was durable, was obeyed by nobody (fault 81)', async () => {
  const [orders, stock] = [cluster.database('orders'), cluster.database('stock')]
  const waiting = `SELECT id FROM information_schema.processlist WHERE info = 'COMMIT'`
  const isAsked = async (): Promise<boolean> => (await orders.sql(waiting)).length > 0
  const isObeyed = async (): Promise<boolean> => (await stock.prepared()).length === 0
  const point = { message: 'orders decide 1', stage: 'sent, not processed' } as const
  const isHeld = Promise.withResolvers<undefined>()
  const act = () => {
    held.hold()
    isHeld.resolve(undefined)
    return 'pass' as const
  }
  await using owner = await DoomedProcess.start(cluster, 'transfer', scenario, { point, act })
  const ended = owner.run()
  await isHeld.promise
  const [began] = owner.notes
  const txid = began?.note === 'began' ? began.txid : ''
  await eventually('the decision to be seen', async () => (await orders.markOf(txid)) === 'commit')
  await using recoverer = assentRecoverer(cluster)
  // By its own scans: a question of it stands before its COMMIT, or the voter has obeyed.
  await eventually('somebody to ask', async () => (await isAsked()) || (await isObeyed()), {
    timeoutMs: 20_000,
  })
  const meanwhile = { obeyed: await isObeyed(), told: owner.notes.at(-1)?.note }
  owner.kill()
  await orders.server.kill()
  held.release()
  await ended
  await orders.server.start()
  const judged = await recoverAndJudge({ cluster, scenario, golden }, owner, 'aborted')
  expect(judged.disagreements).toEqual([])
  expect(meanwhile).toEqual({ obeyed: false, told: 'began' })
  expect(recoverer.alarms).toEqual([])
})
