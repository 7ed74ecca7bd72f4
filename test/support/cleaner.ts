/**
 * A process that does nothing but forget, and rows that are made older instead of waiting: no safety
 * rests on their age.
 */
import type { Report } from 'assent'
import { Forgetting } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Participant } from '../../src/ports/index.ts'
import type { Databases } from './assent.ts'
import { RETENTION_MS, openParticipant } from './leftover.ts'

export interface Cleaner {
  readonly participants: ReadonlyMap<string, Participant>
  readonly reports: Report[]
  /** Goes through the marks of both, or of one. */
  pass(...names: readonly ('orders' | 'stock')[]): Promise<void>
}

/** A process that does nothing but forget, when it is told to. */
export function cleanerOf(
  shop: Databases,
  names: readonly ('orders' | 'stock')[] = ['orders', 'stock'],
): Cleaner {
  const participants = new Map(names.map((name) => [name, openParticipant(shop, name)]))
  const reports: Report[] = []
  const setting = {
    participants,
    world: nodeWorld,
    report: (report: Report) => reports.push(report),
    signal: new AbortController().signal,
  }
  const forgetting = new Forgetting('shop', setting, RETENTION_MS)
  const pass = async (...of: readonly ('orders' | 'stock')[]): Promise<void> => {
    for (const name of of.length === 0 ? names : of) await forgetting.pass(participants.get(name)!)
  }
  return { participants, reports, pass }
}

/** As if everything had happened two days ago, under an epoch that was superseded since. */
export async function age(shop: Databases): Promise<void> {
  for (const database of [shop.orders, shop.stock]) {
    await database.sql("update assent.mark set marked_at = marked_at - interval '2 days'")
    await database.sql("update assent.epoch set opened_at = opened_at - interval '4 days'")
  }
}

/** Ages it, opens new epochs, and ages those: the old ones are superseded for long enough. */
export async function supersede(shop: Databases, cleaner: Cleaner): Promise<void> {
  await age(shop)
  for (const each of cleaner.participants.values()) await each.memory.renew(RETENTION_MS)
  for (const database of [shop.orders, shop.stock]) {
    await database.sql("update assent.epoch set opened_at = opened_at - interval '2 days'")
  }
}

export const marksOf = async (shop: Databases) => ({
  orders: (await shop.orders.sql('select decision from assent.mark')).map((row) => row['decision']),
  stock: (await shop.stock.sql('select decision from assent.mark')).map((row) => row['decision']),
})
export const NOTHING = { orders: [], stock: [] }
