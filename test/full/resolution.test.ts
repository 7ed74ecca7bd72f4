/**
 * Decisions by hand on PostgreSQL: who wins, what is recorded, and what is told when a register comes
 * back with something else.
 */
import { describe, expect, test } from 'vitest'
import { Operator, offerResolution, resolveAsOffered } from '../../src/engine/index.ts'
import type { Offer, Resolved } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { openShop } from '../support/assent.ts'
import { age, cleanerOf, marksOf, supersede } from '../support/cleaner.ts'
import type { Databases } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import { leaveBehind, openParticipant } from '../support/leftover.ts'
import type { Leftover } from '../support/leftover.ts'

const ADA = { decidedBy: 'ada', reason: 'restored' }

async function openDatabases(): Promise<Databases> {
  const [orders, stock] = await Promise.all([freshDatabase('first'), freshDatabase('second')])
  return { orders, stock }
}

async function leaveHeld(shop: Databases): Promise<Leftover> {
  const leftover = await leaveBehind(shop, 'voted')
  leftover.vanish()
  await shop.orders.sql('delete from assent.epoch')
  return leftover
}

function operatorOf(
  shop: Databases,
  names: readonly ('orders' | 'stock')[] = ['orders', 'stock'],
): Operator {
  const participants = new Map(names.map((name) => [name, openParticipant(shop, name)]))
  return new Operator({ app: 'shop', participants, world: nodeWorld })
}

async function offer(
  operator: Operator,
  id: string,
  wish: 'commit' | 'abort',
  registerIs: 'expected' | 'called lost' = 'expected',
): Promise<Offer> {
  const offered = await offerResolution(operator, id, wish, registerIs)
  if (offered.kind === 'refused') throw new Error(offered.refused.why)
  return offered.offer
}

const ends = (resolved: Resolved): readonly string[] =>
  resolved.kind === 'resolved' ? resolved.ends.map(({ end }) => end.answer) : []

describe('a decision by hand', () => {
  test('of two operators who want the opposite is one, and the other is told of it', async () => {
    const shop = await openDatabases()
    const { id } = await leaveHeld(shop)
    const operators = [operatorOf(shop), operatorOf(shop)] as const
    const offers = await Promise.all([
      offer(operators[0], id, 'commit'),
      offer(operators[1], id, 'abort'),
    ])
    const resolved = await Promise.all(
      offers.map((each, at) => resolveAsOffered(operators[at === 0 ? 0 : 1], each, ADA)),
    )
    expect(resolved.map(({ kind }) => kind).sort()).toEqual(['refused', 'resolved'])
    const winner = resolved[0]?.kind === 'resolved' ? 'commit' : 'abort'
    const refused = resolved.find((each) => each.kind === 'refused')
    expect(refused).toMatchObject({ refused: { why: `decided-${winner}` } })
    expect(await shop.stock.count()).toBe(winner === 'commit' ? 1 : 0)
    expect((await marksOf(shop)).orders).toEqual([`heuristic-${winner}`])
    expect(await shop.orders.sql('select decision from assent.resolution')).toEqual([
      { decision: winner },
    ])
  })

  test('is applied by recovery when the operator dies right behind it', async () => {
    const shop = await openShop()
    const { id, gid } = await leaveHeld(shop)
    const operator = operatorOf(shop)
    const record = { ...gid, decision: 'commit', basis: 'register', ...ADA } as const
    const decided = await operator.participants.get('orders')?.byHand.decide(record)
    expect(decided).toEqual({ answer: 'written' })
    await expect.poll(() => shop.stock.count(), { timeout: 10_000 }).toBe(1)
    expect(await shop.stock.prepared()).toEqual([])
    expect(await shop.assent.outcome(id)).toEqual({ outcome: 'committed' })
  })

  test('ends nothing where its record can’t be written', async () => {
    const shop = await openDatabases()
    const { id } = await leaveHeld(shop)
    const operator = operatorOf(shop)
    const offered = await offer(operator, id, 'abort')
    await shop.stock.sql('drop table assent.resolution')
    expect(ends(await resolveAsOffered(operator, offered, ADA))).toEqual(['not-recorded'])
    expect(await shop.stock.prepared()).toHaveLength(1)
    await shop.orders.sql('drop table assent.resolution')
    expect((await operator.recover()).ended).toMatchObject([{ outcome: 'aborted' }])
  })

  test('writes nothing at all where the register can’t record it', async () => {
    const shop = await openDatabases()
    const { id } = await leaveHeld(shop)
    const operator = operatorOf(shop)
    const offered = await offer(operator, id, 'abort')
    await shop.orders.sql('drop table assent.resolution')
    const resolved = await resolveAsOffered(operator, offered, ADA)
    expect(resolved).toMatchObject({ kind: 'refused', refused: { why: 'register-silent' } })
    expect(await marksOf(shop)).toEqual({ orders: [], stock: [] })
    expect(await shop.stock.prepared()).toHaveLength(1)
  })

  test('is never forgotten, and no alarm', async () => {
    const shop = await openDatabases()
    const { id } = await leaveHeld(shop)
    const operator = operatorOf(shop)
    await resolveAsOffered(operator, await offer(operator, id, 'commit'), ADA)
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await cleaner.pass()
    expect(await marksOf(shop)).toEqual({ orders: ['heuristic-commit'], stock: ['commit'] })
    expect(cleaner.reports).toEqual([])
  })
})

describe('databases that disagree because of it are told, never silently', () => {
  test('an abort that a receipt contradicts', async () => {
    const shop = await openDatabases()
    const { gid } = await leaveHeld(shop)
    const operator = operatorOf(shop)
    const record = { ...gid, decision: 'abort', basis: 'register', ...ADA } as const
    await operator.participants.get('orders')?.byHand.decide(record)
    await operator.participants.get('stock')?.endPrepared(gid, 'commit')
    const cleaner = cleanerOf(shop)
    await age(shop)
    await cleaner.pass('stock')
    expect(cleaner.reports).toMatchObject([{ type: 'lost-decision', participant: 'stock' }])
  })

  test('an abort without the register, which comes back with a commit', async () => {
    const shop = await openDatabases()
    const leftover = await leaveBehind(shop, 'decided')
    leftover.vanish()
    const blind = operatorOf(shop, ['stock'])
    const given = await offer(blind, leftover.id, 'abort', 'called lost')
    expect(ends(await resolveAsOffered(blind, given, ADA))).toEqual(['done'])
    expect(await operatorOf(shop).contradictions()).toMatchObject([
      { participant: 'stock', byHand: 'abort', registerSays: 'commit' },
    ])
    const cleaner = cleanerOf(shop)
    await supersede(shop, cleaner)
    await cleaner.pass()
    expect(cleaner.reports).toMatchObject([{ type: 'lost-vote', participant: 'stock' }])
  })

  test('a commit without the register, which comes back with nothing', async () => {
    const shop = await openDatabases()
    const leftover = await leaveBehind(shop, 'voted')
    leftover.vanish()
    const blind = operatorOf(shop, ['stock'])
    const given = await offer(blind, leftover.id, 'commit', 'called lost')
    expect(ends(await resolveAsOffered(blind, given, ADA))).toEqual(['done'])
    expect(await operatorOf(shop).contradictions()).toMatchObject([
      { participant: 'stock', byHand: 'commit', registerSays: 'nothing' },
    ])
    const cleaner = cleanerOf(shop)
    await age(shop)
    await cleaner.pass('stock')
    expect(cleaner.reports).toMatchObject([{ type: 'lost-decision', participant: 'stock' }])
  })
})
