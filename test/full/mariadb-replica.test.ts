/**
 * A MariaDB server dies between its binary log and its storage engine (fault 28). The server itself, and
 * the other databases, agree. Its replica has replayed what the log says; where that differs, it says so,
 * or a person is asked before anything is ended.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { AssentError } from 'assent'
import type { Both } from '../support/pair-leftover.ts'
import { leaveBehind } from '../support/pair-leftover.ts'
import { assentOver, freshApp, mariadbStore, openStore } from '../support/pairs.ts'
import type { Pairing, Store, Stores } from '../support/pairs.ts'
import { ReplicatedMariadb } from '../support/replicated-mariadb.ts'

const BINLOG = 'mariadb with a binary log'

let server: ReplicatedMariadb

beforeAll(async () => {
  server = await ReplicatedMariadb.start()
})

afterAll(async () => {
  await server.remove()
})

interface Scene {
  readonly app: string
  readonly stores: Stores<Both>
  /** A process that has written once, so that it has nothing to find out any more. */
  readonly pairing: Pairing<Both>
  /** The replicated one of the two, on the replica. */
  readonly copy: Store
}

/** Orders decides. */
async function sceneWith(replicated: Both): Promise<Scene> {
  const app = freshApp()
  onTestFinished(() => server.follow())
  const database = await server.database()
  const mine = mariadbStore(BINLOG, app, database)
  const other = await openStore('postgres', app)
  const stores =
    replicated === 'orders' ? { orders: mine, stock: other } : { orders: other, stock: mine }
  const pairing = assentOver(app, stores)
  await write(pairing)
  const copy = mariadbStore(BINLOG, app, await server.onReplica(database))
  return { app, stores, pairing, copy }
}

async function write({ assent }: Pairing<Both>): Promise<void> {
  await assent.transaction(
    async ({ orders, stock }) => {
      await stock.query('insert into t values (1)')
      await orders.query('insert into t values (1)')
    },
    { decider: 'orders' },
  )
}

/**
 * A transaction of which this statement is in the binary log, and nowhere else, when its server dies.
 * @returns what its caller is told
 */
async function dieInside(
  statement: 'XA PREPARE' | 'XA COMMIT',
  { pairing }: Scene,
  isOnReplica: () => Promise<boolean>,
): Promise<unknown> {
  server.holdEngineAt(statement)
  const told = write(pairing).then(
    () => 'committed',
    (error: unknown) => (error as AssentError).outcome,
  )
  await expect.poll(isOnReplica).toBe(true)
  await server.crash()
  return told
}

const countsOf = async ({ orders, stock }: Stores<Both>): Promise<readonly number[]> => [
  await orders.count(),
  await stock.count(),
]

test('inside the XA PREPARE of a voter: aborted, and on its replica too once that is promoted (fault 28)', async () => {
  const scene = await sceneWith('stock')
  const { app, stores, pairing, copy } = scene
  const isPrepared = async (): Promise<boolean> => (await copy.prepared(app)).length === 1
  expect(await dieInside('XA PREPARE', scene, isPrepared)).toBe('aborted')
  expect(await pairing.assent.recover()).toEqual([])
  expect(await countsOf(stores)).toEqual([1, 1])
  // The server has nothing of it, and its replica keeps it until somebody ends it there.
  expect([await stores.stock.prepared(app), await copy.prepared(app)]).toMatchObject([
    [],
    [expect.any(String)],
  ])

  await server.promote()
  const promoted = { ...stores, stock: copy }
  assentOver(app, promoted)
  await expect.poll(() => copy.prepared(app), { timeout: 15_000 }).toEqual([])
  expect(await countsOf(promoted)).toEqual([1, 1])
})

test('inside the XA PREPARE of the decider: aborted, and its promoted replica does not commit it (fault 28)', async () => {
  const scene = await sceneWith('orders')
  const { app, stores, copy } = scene
  const isPrepared = async (): Promise<boolean> => (await copy.prepared(app)).length === 1
  expect(await dieInside('XA PREPARE', scene, isPrepared)).toBe('aborted')
  expect(await countsOf(stores)).toEqual([1, 1])

  await server.promote()
  const promoted = { ...stores, orders: copy }
  const { assent } = assentOver(app, promoted)
  const left = [{ participant: 'orders', reason: 'branch-unclear' }]
  await expect.poll(() => assent.recover()).toMatchObject(left)
  expect(await countsOf(promoted)).toEqual([1, 1])
})

test('inside the XA COMMIT of the decider: committed, and its replica stops at the second one (fault 28)', async () => {
  const scene = await sceneWith('orders')
  const { app, stores, pairing, copy } = scene
  const isThere = async (): Promise<boolean> => (await copy.count()) === 2
  expect(await dieInside('XA COMMIT', scene, isThere)).toBe('committed')
  await expect.poll(() => countsOf(stores), { timeout: 15_000 }).toEqual([2, 2])
  expect(await server.refusal()).toMatch(/XAER_NOTA/)
  await server.skipOne()
  await write(pairing)
  await expect.poll(() => copy.count()).toBe(3)
  // It shows the rows a moment before it lets go of the branch.
  await expect.poll(() => copy.prepared(app)).toEqual([])
})

test('what a replica has prepared is its primary’s to end', async () => {
  const { app, stores, copy } = await sceneWith('stock')
  const leftover = await leaveBehind(app, stores, 'voted')
  await expect.poll(() => copy.prepared(app)).toHaveLength(1)
  await server.lag()
  expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
  leftover.vanish()
  const { assent } = assentOver(app, { ...stores, mirror: copy })
  await expect.poll(() => countsOf(stores), { timeout: 15_000 }).toEqual([2, 2])
  const left = [{ participant: 'mirror', reason: 'branch-unclear' }]
  await expect.poll(() => assent.recover()).toMatchObject(left)
  await server.follow()
  await expect.poll(() => copy.count()).toBe(2)
  await expect.poll(() => assent.recover()).toEqual([])
})
