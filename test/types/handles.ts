/**
 * What the compiler must accept, and what it must refuse. Checked by `types.test.ts`; never run.
 */
import pg from 'pg'
import { expectTypeOf } from 'vitest'
import { createAssent } from 'assent'
import type { HandlesOf, Outcome } from 'assent'
import { pg as participant } from 'assent/pg'

const pool = new pg.Pool()
const assent = createAssent({
  app: 'shop',
  participants: { orders: participant(pool), stock: participant(new pg.Pool()) },
})

type Handles = HandlesOf<typeof assent>
expectTypeOf<keyof Handles>().toEqualTypeOf<'orders' | 'stock'>()
expectTypeOf<Handles['orders']['query']>().toEqualTypeOf<pg.Pool['query']>()
expectTypeOf<Handles['orders']['client']>().toEqualTypeOf<pg.PoolClient>()

export async function rows({ orders }: Handles): Promise<number> {
  const { rows: typed } = await orders.query<{ id: number }>('select id from orders')
  expectTypeOf(typed).toEqualTypeOf<{ id: number }[]>()
  const { rows: arrays } = await orders.query<[number]>({ text: 'select 1', rowMode: 'array' })
  expectTypeOf(arrays).toEqualTypeOf<[number][]>()
  // @ts-expect-error: the row has no such column
  console.log(typed[0]?.sku)
  // @ts-expect-error: a statement is a text or a config
  await orders.query(7)
  return typed[0]?.id ?? 0
}

/** For functions that expect node-postgres' own client. */
export async function repository(client: pg.PoolClient): Promise<void> {
  await client.query('select 1')
}

export async function use(): Promise<void> {
  const value = await assent.transaction(async ({ orders }, tx) => {
    await repository(orders.client)
    tx.onCommitted(() => undefined)
    return 'done' as const
  })
  expectTypeOf(value).toEqualTypeOf<'done'>()
  // @ts-expect-error: no such participant
  await assent.transaction(({ shipping }) => shipping)
  await assent.transaction(() => 1, {
    reads: ['orders'],
    branchIsolation: { stock: 'serializable' },
  })
  // @ts-expect-error: no such participant
  await assent.transaction(() => 1, { reads: ['shipping'] })
  // @ts-expect-error: no such participant
  await assent.transaction(() => 1, { decider: 'shipping' })
  // @ts-expect-error: no such option
  await assent.transaction(() => 1, { timeout: 5 })
  // @ts-expect-error: no such isolation
  await assent.transaction(() => 1, { branchIsolation: 'chaos' })
  const { outcome } = await assent.outcome('x')
  expectTypeOf(outcome).toEqualTypeOf<Outcome>()
}

// @ts-expect-error: a client is no pool
participant(new pg.Client())
// @ts-expect-error: a participant, not a pool
createAssent({ app: 'shop', participants: { orders: pool } })
// @ts-expect-error: no such participant
createAssent({ app: 'shop', participants: { orders: participant(pool) }, decider: 'stock' })
