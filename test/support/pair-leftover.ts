/**
 * What a process leaves behind over two databases of any systems when it dies at a given step.
 */
import { expect, onTestFinished } from 'vitest'
import { Over } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Branch } from '../../src/ports/index.ts'
import { formatTransactionId } from '../../src/protocol/index.ts'
import type { Gid } from '../../src/protocol/index.ts'
import { makeTxid } from '../../src/transaction/txid.ts'
import { freshApp, openParticipant, openStore, runOn } from './pairs.ts'
import type { Kind, Stores } from './pairs.ts'

export type Both = 'orders' | 'stock'

export interface Leftover {
  readonly id: string
  readonly gid: Gid
  readonly decider: Branch
  readonly voter: Branch
  /** As its process dies: the connections are cut. */
  vanish(): void
}

/** A transaction decided by orders, with a row in each, whose process does nothing more. */
export async function leaveBehind(
  app: string,
  stores: Stores<Both>,
  step: 'voted' | 'decided',
): Promise<Leftover> {
  const orders = openParticipant(app, 'orders', stores.orders)
  const stock = openParticipant(app, 'stock', stores.stock)
  await stock.readyToMark()
  const epoch = await orders.currentEpoch()
  const txid = makeTxid(nodeWorld)
  const id = { app, register: 'orders', epoch, txid }
  const request = {
    txid,
    access: 'write',
    isolation: undefined,
    deadline: nodeWorld.now() + 60_000,
    timeoutMs: 60_000,
    waiting: new Over(),
    firstClaim: () => undefined,
  } as const
  const mark = { id, participants: ['orders', 'stock'] }
  const gid = { ...id, branch: 'stock' }
  const voter = await stock.join({ ...request, gid })
  const decider = await orders.join({ ...request, gid: { ...id, branch: 'orders' } })
  for (const branch of [voter, decider]) {
    await runOn(branch, 'insert into t values (1)')
    branch.seal()
  }
  expect(await decider.claim(mark)).toEqual({ answer: 'yes' })
  expect(await voter.vote(mark, gid)).toEqual({ answer: 'yes' })
  if (step === 'decided') expect(await decider.commit()).toEqual({ answer: 'yes' })
  const vanish = (): void => {
    for (const branch of [decider, voter]) {
      branch.cut()
      // Its pool has the connection back then, and can be ended.
      branch.leave()
      void branch.end('abort', undefined)
    }
  }
  onTestFinished(vanish)
  return { id: formatTransactionId(id), gid, decider, voter, vanish }
}

export async function open(
  orders: Kind,
  stock: Kind,
): Promise<{ app: string; stores: Stores<Both> }> {
  const app = freshApp()
  const [first, second] = await Promise.all([openStore(orders, app), openStore(stock, app)])
  return { app, stores: { orders: first, stock: second } }
}
