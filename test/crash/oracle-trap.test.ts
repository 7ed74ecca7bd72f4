/**
 * The crash tests can fail: a recoverer that is planted to be wrong is found by the same oracle, a
 * kill that does not happen where it was meant to is not taken for a survived one, and a lie to the
 * caller is told.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { crash } from './crash.ts'
import type { Crash } from './crash.ts'
import { CrashCluster } from './crash-cluster.ts'
import type { CrashPoint } from './crash-points.ts'
import { disagreements } from './oracle.ts'
import type { Facts } from './oracle.ts'
import { assentRecoverer, blindRecoverer, sleepingRecoverer } from './recoverer.ts'
import type { RecovererOf } from './recoverer.ts'
import { goldenOfTwo, writesInTwo } from './two-databases.ts'

let cluster: CrashCluster

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
})

afterAll(async () => {
  await cluster.remove()
})

test('a recoverer that rolls back all that is listed is found after the decision', async () => {
  const point = { message: 'orders decide 1', stage: 'answered' } as const
  const crashed = await recoveredBy(blindRecoverer('ROLLBACK'), point)
  expect(crashed.hit).toBe(true)
  expect(crashed.disagreements).toEqual([
    'stock: the item was taken 0 times, expected 1',
    'stock: mark undefined, expected commit',
  ])
})

test('a recoverer that commits all that is listed is found before the decision', async () => {
  const point = { message: 'stock vote 1', stage: 'answered' } as const
  const crashed = await recoveredBy(blindRecoverer('COMMIT'), point)
  expect(crashed.hit).toBe(true)
  // The receipt is of a transaction that its register does not know: even the id tells it.
  expect(crashed.disagreements).toEqual([
    'stock: the item was taken 1 times, expected 0',
    'stock: mark commit, expected undefined',
    'outcome(id) says unknown: contradicted, it is aborted',
    'outcome(tx.id) says committed, not unknown: not-found',
  ])
})

test('a recoverer that ends nothing is found; what it left can still be recovered', async () => {
  const point = { message: 'orders decide 1', stage: 'processed, not answered' } as const
  const recoveryMs = 300
  const crashed = await recoveredBy(sleepingRecoverer, point, recoveryMs)
  expect(crashed.disagreements).toEqual([
    'recovery: after 300 ms still waiting for nothing to be left',
    'stock: the item was taken 0 times, expected 1',
    'stock: mark undefined, expected commit',
    'stock: the item is still locked',
    expect.stringMatching(/^still prepared: stock A1\.crash\.orders\..*\.stock$/),
  ])
  await using assent = assentRecoverer(cluster)
  await assent.recover()
  expect(await cluster.prepared()).toEqual([])
})

test('a point that no message reaches is not taken for a survived crash', async () => {
  const crashed = await recoveredBy(assentRecoverer, {
    message: 'stock apply 2',
    stage: 'sent, not processed',
  })
  expect(crashed.hit).toBe(false)
  expect(crashed.disagreements[0]).toBe('the process ended with exit code 0, expected SIGKILL')
})

test.each([
  ['an answer that was not true', { notes: [{ note: 'answered', outcome: 'aborted' } as const] }],
  ['an outcome that was not true', { outcome: 'aborted' }],
  ['an outcome that nobody knows', { outcome: 'unknown: held' }],
  ['a decision that its id does not find', { bareOutcome: 'unknown: not-found' }],
  ['an alarm', { alarms: ['lost-vote'] }],
  ['a branch that is still prepared', { prepared: ['stock A1.crash…'] }],
  ['work that was done twice', { databases: [{ ...committed('orders'), taken: 2 }] }],
  ['a receipt that is missing', { databases: [{ ...committed('stock'), mark: undefined }] }],
  ['a lock that is left', { databases: [{ ...committed('stock'), locked: true }] }],
])('the oracle reports %s', (_what, change: Partial<Facts>) => {
  const truth: Facts = {
    databases: [committed('orders'), committed('stock')],
    prepared: [],
    notes: [{ note: 'answered', outcome: 'committed' }],
    outcome: 'committed',
    bareOutcome: 'committed',
    alarms: [],
  }
  expect(disagreements(truth, 'committed')).toEqual([])
  expect(disagreements({ ...truth, ...change }, 'committed')).toHaveLength(1)
})

function committed(name: string) {
  return { name, role: 'writer', taken: 1, mark: 'commit', locked: false } as const
}

function recoveredBy(
  recovererOf: RecovererOf,
  point: CrashPoint,
  recoveryMs?: number,
): Promise<Crash> {
  const patience = recoveryMs === undefined ? {} : { recoveryMs }
  const facts = { cluster, scenario: writesInTwo, golden: goldenOfTwo }
  return crash({ ...facts, recovererOf, ...patience }, point)
}
