/**
 * What a process leaves behind when it dies at a given step: made message by message, through the
 * ports, by a coordinator that then vanishes.
 */
import { expect, onTestFinished } from 'vitest'
import { pg as participant } from 'assent/pg'
import type { PgOptions } from 'assent/pg'
import { Over } from '../../src/engine/index.ts'
import type { Branch, Participant } from '../../src/ports/index.ts'
import { run } from './pg-branch.ts'
import { formatTransactionId } from '../../src/protocol/index.ts'
import type { Gid } from '../../src/protocol/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { TestDatabase } from './databases.ts'

export interface Leftover {
  readonly id: string
  readonly gid: Gid
  readonly decider: Branch
  readonly voter: Branch
  /** Cuts both connections, as the end of the process would. */
  vanish(): void
}

type Pools = Readonly<Record<'orders' | 'stock', Pick<TestDatabase, 'pool'>>>

/**
 * `orders` decides, with a claim that goes along with its first statement or is written last;
 * `stock` votes. Stops after the named step, with the
 * connections still open.
 */
export async function leaveBehind(
  shop: Pools,
  step: 'claimed' | 'voted' | 'decided',
  timeoutMs = 60_000,
  claim: 'first' | 'last' = 'first',
): Promise<Leftover> {
  const open = (name: 'orders' | 'stock'): Participant => openParticipant(shop, name)
  const orders = open('orders')
  const stock = open('stock')
  await stock.readyToMark()
  const epoch = await orders.currentEpoch()
  const txid = Buffer.from(nodeWorld.randomBytes(15)).toString('base64url')
  const id = { app: 'shop', register: 'orders', epoch, txid }
  const gid: Gid = { ...id, branch: 'stock' }
  const request = {
    txid,
    access: 'write',
    isolation: undefined,
    deadline: nodeWorld.now() + timeoutMs,
    timeoutMs,
    waiting: new Over(),
  } as const
  const mark = { id, participants: ['orders', 'stock'] }
  const voter = await stock.join({ ...request, gid, firstClaim: () => undefined })
  const firstClaim = claim === 'first' ? () => mark : () => undefined
  const own = { ...id, branch: 'orders' }
  const decider = await orders.join({ ...request, gid: own, firstClaim })
  for (const branch of [voter, decider]) {
    await run(branch, 'insert into t values (1)')
    branch.seal()
  }
  expect(decider.claimed).toEqual(claim === 'first' ? mark : undefined)
  yes(await decider.claim(mark))
  if (step !== 'claimed') yes(await voter.vote(mark, gid))
  if (step === 'decided') yes(await decider.commit())
  return {
    id: formatTransactionId(id),
    gid,
    decider,
    voter,
    vanish: () => {
      if (step !== 'decided') decider.cut()
      voter.cut()
      void decider.end('abort', undefined)
      void voter.end('abort', undefined)
    },
  }
}

/** A participant as the engine sees it, closed when the test is over. */
export function openParticipant(
  shop: Pools,
  name: 'orders' | 'stock',
  options: PgOptions = {},
): Participant {
  const context = { app: 'shop', name, world: nodeWorld, retentionMs: RETENTION_MS }
  const opened = participant(shop[name].pool, options).open(context)
  onTestFinished(() => opened.close())
  return opened
}

/** A day. Tests make rows older instead of waiting. */
export const RETENTION_MS = 86_400_000

function yes(answer: { answer: string }): void {
  if (answer.answer !== 'yes') throw new Error(JSON.stringify(answer))
}
