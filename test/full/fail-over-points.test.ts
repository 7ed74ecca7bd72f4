/**
 * A database fails over to its synchronous replica in the middle of a transaction: at each message of
 * the commit path, before the primary has it and before the process has its answer (fault 90).
 */
import { describe, expect, test } from 'vitest'
import { AssentError } from 'assent'
import { within } from '../../harness/eventually.ts'
import type { Verdict } from '../../harness/wire-proxy.ts'
import { openOver, writeBoth } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import type { MessageKind } from '../support/message-kinds.ts'
import { ReplicatedServer } from '../support/replicated-server.ts'

const TIMEOUT_MS = 10_000
const FAIL_OVER_MS = 20_000

async function sceneWith(
  replicated: 'orders' | 'stock',
): Promise<Shop & { readonly server: ReplicatedServer }> {
  const server = await ReplicatedServer.start('synchronous')
  const [mine, other] = await Promise.all([server.database(), freshDatabase('first')])
  const databases =
    replicated === 'orders' ? { orders: mine, stock: other } : { orders: other, stock: mine }
  const shop = openOver(databases, { failover: 'lossless' }, { timeoutMs: TIMEOUT_MS })
  await writeBoth(shop)
  for (const each of [databases.orders, databases.stock]) await each.sql('truncate t')
  return { ...shop, server }
}

/** Resolves when the fail-over has happened. */
function failOverAt(
  server: ReplicatedServer,
  message: MessageKind,
  point: 'request' | 'answer',
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  let failingOver: Promise<void> | undefined
  const judge = async (name: string): Promise<Verdict> => {
    if (name !== message || failingOver !== undefined) return 'pass'
    failingOver = server.failOver()
    await failingOver
    resolve(undefined)
    return 'drop-connection'
  }
  if (point === 'request') server.name.hooks.onRequest = ({ name }) => judge(name)
  else server.name.hooks.onAnswer = ({ name }) => judge(name)
  return promise
}

/** What the caller is told; what is unknown is asked for until it is known. */
async function fateOf(shop: Shop, claim: 'first' | 'last'): Promise<'committed' | 'aborted'> {
  try {
    await writeBoth(shop, claim)
    return 'committed'
  } catch (error) {
    if (!(error instanceof AssentError)) throw error
    if (error.outcome !== 'unknown') return error.outcome
    const id = error.transactionId ?? ''
    const outcome = async () => (await shop.assent.outcome(id)).outcome
    await expect.poll(outcome, { timeout: 20_000 }).not.toBe('unknown')
    return (await outcome()) as 'committed' | 'aborted'
  }
}

const points = [
  ['orders', 'claim', 'aborted', 'aborted'],
  ['orders', 'decide', 'aborted', 'committed'],
  ['stock', 'vote', 'aborted', 'aborted'],
  ['stock', 'apply', 'committed', 'committed'],
] as const

describe.each(points)('%s fails over at its %s (fault 90)', (where, message, before, after) => {
  test.each([
    ['before it has the message', 'request', before],
    ['before its answer is out', 'answer', after],
  ] as const)('%s: all or nothing, as told', async (_when, point, expected) => {
    const scene = await sceneWith(where)
    const failedOver = failOverAt(scene.server, message, point)
    expect(await fateOf(scene, message === 'claim' ? 'last' : 'first')).toBe(expected)
    await within('the fail-over', failedOver, FAIL_OVER_MS)
    await expect.poll(() => scene.stock.prepared(), { timeout: 20_000 }).toEqual([])
    const count = expected === 'committed' ? 1 : 0
    expect([await scene.orders.count(), await scene.stock.count()]).toEqual([count, count])
    expect(
      scene.reports.filter(({ type }) => !['recovered', 'scan-failed'].includes(type)),
    ).toEqual([])
  })
})
