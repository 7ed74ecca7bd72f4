/**
 * Forgetting where MariaDB takes part: what goes, what stays, and what is reported. Rows are made older
 * instead of waiting; no safety rests on their age.
 */
import { describe, expect, test } from 'vitest'
import type { Report } from 'assent'
import { Forgetting, Over } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Branch, Participant } from '../../src/ports/index.ts'
import { openParticipant, openPairing } from '../support/pairs.ts'
import type { Kind, Pairing, Store } from '../support/pairs.ts'

/** An open transaction with its claim, as a decider has while the others vote. */
async function claimedBranch(
  participant: Participant,
  of: { readonly app: string; readonly register: string; readonly epoch: string },
): Promise<{ readonly branch: Branch }> {
  const id = { ...of, txid: Buffer.from(nodeWorld.randomBytes(15)).toString('base64url') }
  const branch = await participant.join({
    txid: id.txid,
    access: 'write',
    gid: { ...id, branch: of.register },
    isolation: 'repeatable read',
    deadline: nodeWorld.now() + 10_000,
    timeoutMs: 10_000,
    waiting: new Over(),
    firstClaim: () => undefined,
  })
  branch.seal()
  expect(await branch.claim({ id, participants: [of.register] })).toEqual({ answer: 'yes' })
  return { branch }
}

const RETENTION_MS = 86_400_000
const INSERT = 'insert into t values (1)'

type Both = Pairing<'orders' | 'stock'>

async function writeBoth({ assent }: Both, times = 1): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await assent.transaction(
      async (db) => {
        await db.stock.query(INSERT)
        await db.orders.query(INSERT)
      },
      { decider: 'orders' },
    )
  }
}

interface Cleaner {
  readonly participants: ReadonlyMap<string, Participant>
  readonly reports: Report[]
  pass(): Promise<void>
}

function cleanerOf({ app, stores }: Both): Cleaner {
  const participants = new Map(
    (['orders', 'stock'] as const).map((name) => [name, openParticipant(app, name, stores[name])]),
  )
  const reports: Report[] = []
  const setting = {
    participants,
    world: nodeWorld,
    report: (report: Report) => reports.push(report),
    signal: new AbortController().signal,
  }
  const forgetting = new Forgetting(app, setting, RETENTION_MS)
  const pass = async (): Promise<void> => {
    for (const participant of participants.values()) await forgetting.pass(participant)
  }
  return { participants, reports, pass }
}

const isPostgres = ({ kind }: Store): boolean => kind.startsWith('postgres')

async function makeOlder(store: Store, table: 'mark' | 'epoch', days: number): Promise<void> {
  const column = table === 'mark' ? 'marked_at' : 'opened_at'
  const interval = isPostgres(store) ? `interval '${days} days'` : `interval ${days} day`
  const name = isPostgres(store) ? `assent.${table}` : table
  await store.sql(`update ${name} set ${column} = ${column} - ${interval}`)
}

/** Old epochs are superseded for long enough, and marks are old. */
async function supersede({ stores }: Both, cleaner: Cleaner): Promise<void> {
  for (const store of [stores.orders, stores.stock]) {
    await makeOlder(store, 'mark', 2)
    await makeOlder(store, 'epoch', 4)
  }
  for (const { memory } of cleaner.participants.values()) await memory.renew(RETENTION_MS)
  for (const store of [stores.orders, stores.stock]) await makeOlder(store, 'epoch', 2)
}

async function marksOf({ stores }: Both): Promise<unknown> {
  const decisions = async (store: Store): Promise<readonly string[]> =>
    (await store.marks()).map(({ decision }) => decision)
  return { orders: await decisions(stores.orders), stock: await decisions(stores.stock) }
}

const NOTHING = { orders: [], stock: [] }
const marks = (store: Store): string => (isPostgres(store) ? 'assent.mark' : 'mark')

const PAIRS: readonly (readonly [Kind, Kind])[] = [
  ['mariadb by mysql2', 'postgres'],
  ['postgres', 'mariadb with a binary log'],
]

describe.each(PAIRS)('decided by %s, with a receipt on %s', (orders, stock) => {
  const open = (): Promise<Both> => openPairing({ orders, stock })

  test('is kept while its epoch is listed, and then forgotten in both', async () => {
    const pairing = await open()
    await writeBoth(pairing, 3)
    const cleaner = cleanerOf(pairing)
    for (const store of Object.values(pairing.stores)) await makeOlder(store, 'mark', 2)
    await cleaner.pass()
    const kept = { orders: Array(3).fill('commit'), stock: Array(3).fill('commit') }
    expect(await marksOf(pairing)).toEqual(kept)
    await supersede(pairing, cleaner)
    await cleaner.pass()
    expect(await marksOf(pairing)).toEqual(NOTHING)
    expect(cleaner.reports).toEqual([])
  })

  test('whose receipt is gone is a lost vote: reported once, and nothing is deleted', async () => {
    const pairing = await open()
    await writeBoth(pairing)
    await pairing.stores.stock.sql(`delete from ${marks(pairing.stores.stock)} where txid <> '-'`)
    const cleaner = cleanerOf(pairing)
    await supersede(pairing, cleaner)
    await cleaner.pass()
    await cleaner.pass()
    expect(cleaner.reports).toMatchObject([{ type: 'lost-vote', participant: 'stock' }])
    expect(await marksOf(pairing)).toEqual({ orders: ['commit'], stock: [] })
  })

  test('whose decision is gone is reported, and its receipt stays', async () => {
    const pairing = await open()
    await writeBoth(pairing)
    const { orders } = pairing.stores
    await orders.sql(`delete from ${marks(orders)} where txid <> '-'`)
    for (const store of Object.values(pairing.stores)) await makeOlder(store, 'mark', 2)
    const cleaner = cleanerOf(pairing)
    await cleaner.pass()
    expect(cleaner.reports).toMatchObject([{ type: 'lost-decision', participant: 'stock' }])
    expect(await marksOf(pairing)).toEqual({ orders: [], stock: ['commit'] })
  })

  test('is forgotten by many at once, and none raises an alarm', async () => {
    const pairing = await open()
    await writeBoth(pairing, 5)
    const cleaners = [cleanerOf(pairing), cleanerOf(pairing), cleanerOf(pairing)] as const
    await supersede(pairing, cleaners[0])
    await Promise.allSettled(cleaners.map((cleaner) => cleaner.pass()))
    await cleaners[0].pass()
    expect(await marksOf(pairing)).toEqual(NOTHING)
    const alarms = cleaners.flatMap(({ reports }) =>
      reports.filter(({ type }) => /lost/.test(type)),
    )
    expect(alarms).toEqual([])
  })

  test('whoever stopped in the middle left settled rows: anybody goes on', async () => {
    const pairing = await open()
    await writeBoth(pairing, 2)
    const { orders, stock } = pairing.stores
    await orders.sql(`update ${marks(orders)} set decision = 'settled' where txid <> '-'`)
    const [first] = await stock.marks()
    await stock.sql(`delete from ${marks(stock)} where txid = '${first?.txid ?? ''}'`)
    const cleaner = cleanerOf(pairing)
    await supersede(pairing, cleaner)
    await cleaner.pass()
    expect(await marksOf(pairing)).toEqual(NOTHING)
    expect(cleaner.reports).toEqual([])
  })
})

test('a table of many pages is gone through to its end', async () => {
  const pairing = await openPairing({
    orders: 'mariadb by mysql2',
    stock: 'mariadb with a binary log',
  })
  await writeBoth(pairing)
  const { app, stores } = pairing
  const [row] = await stores.orders.sql("select epoch from mark where txid <> '-'")
  const many = (store: Store): Promise<unknown> =>
    store.sql(`insert into mark (txid, decision, app, register, epoch, participants)
      select lpad(seq, 20, 'x'), 'commit', '${app}', 'orders', '${String(row?.['epoch'])}',
        '["orders","stock"]' from seq_1_to_3200`)
  for (const store of [stores.orders, stores.stock]) await many(store)
  const cleaner = cleanerOf(pairing)
  await supersede(pairing, cleaner)
  await cleaner.pass()
  expect(await marksOf(pairing)).toEqual(NOTHING)
  expect(cleaner.reports).toEqual([])
})

test('epochs are opened and taken off the list while a claim is open', async () => {
  const { app, stores } = await openPairing({ orders: 'mariadb by mysql2' })
  const orders = openParticipant(app, 'orders', stores.orders)
  const old: string[] = []
  for (let count = 0; count < 3; count += 1) {
    old.push(await orders.currentEpoch())
    await orders.memory.renew(0)
  }
  const epoch = await orders.currentEpoch()
  const { branch } = await claimedBranch(orders, { app, register: 'orders', epoch })
  await orders.memory.renew(0)
  await orders.memory.unlist(old)
  const left = await stores.orders.sql('select id from epoch order by ordinal')
  expect(left[0]).toEqual({ id: epoch })
  expect(left).toHaveLength(2)
  await branch.end('abort', undefined)
})

test('a restored server holds what it may have forgotten', async () => {
  const pairing = await openPairing({ orders: 'mariadb by mysql2', stock: 'postgres' })
  await writeBoth(pairing)
  const epochs = async (): Promise<number> =>
    (await pairing.stores.orders.sql('select id from epoch')).length
  const sql = await pairing.assent.restored('orders', { print: true })
  expect(sql).toMatch(/^DELETE FROM `t_\w+`\.epoch;$/)
  expect(await epochs()).toBe(1)
  await pairing.assent.restored('orders')
  expect(await epochs()).toBe(0)
  await writeBoth(pairing)
  expect(await epochs()).toBe(1)
})
