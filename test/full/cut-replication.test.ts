/**
 * A wait for a synchronous replica is cut off, and then that replica is promoted: what was cut off is
 * not there. Nobody is ever told that it was durable.
 */
import { expect, onTestFinished, test } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import type { AssentError } from 'assent'
import { openOver, refusal, rejection, writeBoth } from '../support/assent.ts'
import type { Databases, Shop } from '../support/assent.ts'
import { age, cleanerOf } from '../support/cleaner.ts'
import { freshDatabase } from '../support/databases.ts'
import type { MessageKind } from '../support/message-kinds.ts'
import { ReplicatedServer } from '../support/replicated-server.ts'

interface Scene extends Shop {
  readonly server: ReplicatedServer
}

/** A process over two databases, one of them synchronously replicated. */
async function sceneWith(replicated: 'orders' | 'stock'): Promise<Scene> {
  const server = await ReplicatedServer.start('synchronous')
  const [mine, other] = await Promise.all([server.database(), freshDatabase('first')])
  const databases: Databases =
    replicated === 'orders' ? { orders: mine, stock: other } : { orders: other, stock: mine }
  const shop = openOver(databases, {}, { timeoutMs: 2_000 })
  await writeBoth(shop)
  for (const each of [databases.orders, databases.stock]) await each.sql('truncate t')
  await server.caughtUp()
  return { ...shop, server }
}

/**
 * From this message on, nothing reaches the replica, and whoever waits for it is cut off: until the
 * returned function is called, which says how many there were.
 */
function cutFrom({ server }: Scene, message: MessageKind): () => Promise<number> {
  const over = new AbortController()
  let cut = 0
  const cutting = async (): Promise<void> => {
    while (!over.signal.aborted) cut += await server.cancelWaits()
  }
  let running: Promise<void> | undefined
  server.name.hooks.onRequest = ({ name }) => {
    if (name !== message || running !== undefined) return 'pass'
    server.separate()
    running = cutting()
    return 'pass'
  }
  const stop = async (): Promise<number> => {
    over.abort()
    await running
    return cut
  }
  onTestFinished(async () => {
    await stop()
  })
  return stop
}

const countsOf = async ({ orders, stock }: Databases): Promise<readonly number[]> => [
  await orders.count(),
  await stock.count(),
]

test('COMMIT is cut off and lost with the primary: unknown, then held (fault 81)', async () => {
  const scene = await sceneWith('orders')
  const stop = cutFrom(scene, 'decide')
  const error = (await rejection(writeBoth(scene))) as AssentError
  expect(error).toMatchObject({ outcome: 'unknown' })
  expect(await stop()).toBeGreaterThan(0)
  // It is visible on the primary, and nobody says that it stays.
  expect(await scene.orders.count()).toBe(1)
  const id = error.transactionId ?? ''
  expect(await scene.assent.outcome(id)).toMatchObject({ outcome: 'unknown' })
  expect(await scene.stock.prepared()).toHaveLength(1)

  await scene.server.failOver()
  await expect.poll(() => scene.assent.recover()).toMatchObject([{ reason: 'held' }])
  expect(await scene.assent.outcome(id)).toEqual({ outcome: 'unknown', reason: 'held' })
  expect(await countsOf(scene)).toEqual([0, 0])
  // Where a fail-over loses nothing that was acknowledged, this was not.
  const lossless = openOver(scene, { failover: 'lossless' })
  await expect.poll(() => scene.stock.prepared()).toEqual([])
  expect(await lossless.assent.outcome(id)).toEqual({ outcome: 'aborted' })
})

test('PREPARE is cut off and lost with the primary: aborted, and nothing is left (fault 81)', async () => {
  const scene = await sceneWith('stock')
  const stop = cutFrom(scene, 'vote')
  await refusal(writeBoth(scene), 'ASSENT_UNCLEAR')
  expect(await stop()).toBeGreaterThan(0)
  await scene.server.failOver()
  expect(await scene.stock.prepared()).toEqual([])
  expect(await countsOf(scene)).toEqual([0, 0])
  expect(await scene.assent.recover()).toEqual([])
  await eventually('the new primary to be used', () => writeBoth(scene).then(() => true))
  expect(await countsOf(scene)).toEqual([1, 1])
})

test('COMMIT PREPARED is cut off and lost with the primary: committed, and done again (fault 81)', async () => {
  const scene = await sceneWith('stock')
  const stop = cutFrom(scene, 'apply')
  await writeBoth(scene)
  expect(await stop()).toBeGreaterThan(0)
  await scene.assent.close()
  expect(await countsOf(scene)).toEqual([1, 1])
  await scene.server.failOver()
  expect(await scene.stock.prepared()).toHaveLength(1)
  expect(await countsOf(scene)).toEqual([1, 0])
  const { reports } = openOver(scene)
  await expect.poll(() => countsOf(scene)).toEqual([1, 1])
  await expect.poll(() => reports).toMatchObject([{ type: 'recovered', outcome: 'committed' }])
})

test('whoever switches the waiting off loses what is lost, and that is held and reported', async () => {
  const scene = await sceneWith('orders')
  const { server } = scene
  server.name.hooks.onRequest = ({ name }) => {
    if (name === 'decide') server.separate()
    return 'pass'
  }
  const writing = writeBoth(scene)
  await eventually('COMMIT to wait', () => server.isWaitedFor())
  // PostgreSQL answers COMMIT as if it were replicated, without a warning.
  await server.stopWaitingForReplica()
  await writing
  expect(await countsOf(scene)).toEqual([1, 1])

  await server.failOver()
  expect(await countsOf(scene)).toEqual([0, 1])
  await age(scene)
  const cleaner = cleanerOf(scene)
  await cleaner.pass('stock')
  expect(cleaner.reports).toMatchObject([{ type: 'lost-decision', participant: 'stock' }])
})
