/**
 * A machine is resumed from a snapshot that was taken in the middle of a transaction, and says again,
 * byte by byte and on connections of its own, what it had said before: with the same txid and
 * epoch. (No live process can be forked in its middle; its messages can be repeated.)
 */
import { expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { freshDatabase } from '../support/databases.ts'
import { Recording, Repeater } from './recording.ts'

/** Transactions on connections that were never used before: all that is said on them is recorded. */
async function recorded(claim: 'first' | 'last' = 'last') {
  const databases = { orders: await freshDatabase('first'), stock: await freshDatabase('second') }
  const recording = new Recording()
  const through = async (name: 'orders' | 'stock') => {
    const connectionString = await recording.through(name, databases[name].url)
    const pool = new pg.Pool({ connectionString })
    onTestFinished(async () => {
      await pool.end()
      recording.close()
    })
    return participant(pool, { recovery: { connectionString: databases[name].url } })
  }
  const assent = createAssent({
    app: 'shop',
    participants: { orders: await through('orders'), stock: await through('stock') },
  })
  onTestFinished(() => assent.close())
  const write = async (tail: () => Promise<void> = () => Promise.resolve()): Promise<string> =>
    assent.transaction(
      async ({ orders, stock }, tx) => {
        for (const each of claim === 'first' ? [stock, orders] : [orders, stock]) {
          await each.query('insert into t values (1)')
        }
        await tail()
        return tx.id
      },
      { decider: 'orders' },
    )
  // Who decides has read its epoch.
  await assent.migrate()
  await assent.recover()
  const marks = async (txid: string): Promise<readonly number[]> => {
    const text = 'select count(*)::int as n from assent.mark where txid = $1'
    const counts = Object.values(databases).map((database) => database.sql(text, [txid]))
    return (await Promise.all(counts)).map(([row]) => Number(row?.['n']))
  }
  const rows = async () => [await databases.orders.count(), await databases.stock.count()]
  return { assent, recording, databases, write, marks, rows }
}

async function repeaters({ databases }: Awaited<ReturnType<typeof recorded>>) {
  const [orders, stock] = await Promise.all([
    Repeater.connect(databases.orders.url),
    Repeater.connect(databases.stock.url),
  ])
  onTestFinished(() => {
    for (const each of [orders, stock]) each.close()
  })
  return { orders, stock }
}

/** Says everything again, in the same order, whatever is answered. */
async function sayAgain(of: Awaited<ReturnType<typeof recorded>>): Promise<readonly string[]> {
  const to = await repeaters(of)
  const answers: string[] = []
  for (const { to: name, kind, bytes } of [...of.recording.said]) {
    const heard = await to[name as keyof typeof to].say(bytes)
    if (kind !== undefined) answers.push(`${name} ${kind}: ${heard.at(-1) ?? 'nothing'}`)
  }
  return answers
}

test('resumed after its commit (fault 51): the register refuses the claim, nothing is done twice', async () => {
  const of = await recorded()
  const txid = await of.write()
  expect(await sayAgain(of)).toEqual([
    'orders claim: !23505',
    'stock vote: !23505',
    'orders decide: !25P02',
    'stock apply: !25P02',
  ])
  expect([await of.rows(), await of.marks(txid)]).toEqual([
    [1, 1],
    [1, 1],
  ])
  expect(await of.assent.outcome(txid)).toEqual({ outcome: 'committed' })
})

test('resumed after its commit (fault 51): a claim that goes along with BEGIN is refused there', async () => {
  const of = await recorded('first')
  const txid = await of.write()
  expect(await sayAgain(of)).toEqual([
    'orders first-claim: !23505',
    'stock vote: !23505',
    'orders decide: !25P02',
    'stock apply: !25P02',
  ])
  expect([await of.rows(), await of.marks(txid)]).toEqual([
    [1, 1],
    [1, 1],
  ])
})

test('resumed while the first is still under way (fault 51): the second waits, then is refused', async () => {
  const of = await recorded()
  const to = await repeaters(of)
  // Time enough for the second between the first's claim and its COMMIT.
  await of.databases.stock.sql(`create function slow() returns trigger language plpgsql as
      'begin perform pg_sleep(0.5); return new; end';
    create constraint trigger slow after insert on t deferrable initially deferred
      for each row execute function slow()`)
  let twin: Promise<readonly string[]> | undefined
  let hasWaited = false
  const txid = await of.write(async () => {
    // The twin has begun and worked; its claim comes when the first's has been answered.
    for (const { to: name, bytes } of [...of.recording.said]) {
      if (name === 'orders') await to.orders.say(bytes)
    }
    const isClaimed = async (): Promise<void> => {
      await expect.poll(() => of.recording.find('vote')).toBeDefined()
      twin = to.orders.say(of.recording.find('claim')!)
      const waits = `select 1 from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock'`
      await expect.poll(() => of.databases.orders.sql(waits)).toHaveLength(1)
      hasWaited = true
    }
    void isClaimed()
  })
  await expect.poll(() => twin).toBeDefined()
  expect(await twin).toContain('!23505')
  expect(hasWaited).toBe(true)
  expect([await of.rows(), await of.marks(txid)]).toEqual([
    [1, 1],
    [1, 1],
  ])
})

test('resumed after it was aborted (fault 51): what it goes on with finds nothing to commit', async () => {
  const of = await recorded()
  const txid = await of.write()
  // As if it had died before COMMIT: recovery has rolled everything back and keeps no row of that.
  for (const database of Object.values(of.databases)) {
    await database.sql('delete from assent.mark where txid = $1', [txid])
    await database.sql('delete from t')
  }
  const to = await repeaters(of)
  // The snapshot was taken when all had voted: on new connections there is no transaction, and nothing
  // that proves one.
  expect(await to.orders.say(of.recording.find('decide')!)).toEqual(['!34000'])
  expect(await to.stock.say(of.recording.find('apply')!)).toEqual(['!42704'])
  expect([await of.rows(), await of.marks(txid)]).toEqual([
    [0, 0],
    [0, 0],
  ])
  // The snapshot was taken before it began: said again as a whole, it is one transaction.
  expect((await sayAgain(of)).at(-1)).toBe('stock apply: COMMIT PREPARED')
  expect([await of.rows(), await of.marks(txid)]).toEqual([
    [1, 1],
    [1, 1],
  ])
})
