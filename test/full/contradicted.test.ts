/**
 * A register is put back to a backup, and nobody runs `assent restored`: it remembers that what it has
 * no row of never committed. Where another database has applied it, that is proof of the contrary.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createAssent } from 'assent'
import type { Report } from 'assent'
import { pg as participant } from 'assent/pg'
import { assent as runCommand, json } from '../support/command-line.ts'
import type { Ended } from '../support/command-line.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { leaveBehind } from '../support/leftover.ts'
import type { Leftover } from '../support/leftover.ts'

interface Three {
  readonly orders: TestDatabase
  readonly stock: TestDatabase
  readonly ledger: TestDatabase
  readonly leftover: Leftover
}

/**
 * Prepared in stock, decided and forgotten by orders. `applied`: ledger has its receipt, as the same
 * transaction would have written it there.
 */
async function setBack(ledgerHas: 'applied it' | 'nothing'): Promise<Three> {
  const [orders, stock, ledger] = await Promise.all([
    freshDatabase('first'),
    freshDatabase('second'),
    freshDatabase('first'),
  ])
  const leftover = await leaveBehind({ orders, stock }, 'decided')
  leftover.vanish()
  const { txid, epoch } = leftover.gid
  const assent = createAssent({ app: 'shop', participants: { ledger: participant(ledger.pool) } })
  await assent.migrate()
  await assent.close()
  if (ledgerHas === 'applied it') {
    await ledger.sql(`insert into assent.mark (txid, decision, app, register, epoch, participants)
values ('${txid}', 'commit', 'shop', 'orders', '${epoch}', '{orders,stock,ledger}')`)
  }
  await orders.sql('truncate t')
  await orders.sql('delete from assent.mark')
  return { orders, stock, ledger, leftover }
}

function openOver({ orders, stock, ledger }: Three) {
  const reports: Report[] = []
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(orders.pool),
      stock: participant(stock.pool),
      ledger: participant(ledger.pool),
    },
    onReport: (report) => reports.push(report),
  })
  onTestFinished(() => assent.close())
  return { assent, reports }
}

function commandsOn({ orders, stock, ledger }: Three) {
  const env = { ORDERS: orders.url, STOCK: stock.url, LEDGER: ledger.url }
  const flags = ['orders', 'stock', 'ledger'].flatMap((name) => [
    '--participant',
    `${name}=env:${name.toUpperCase()}`,
  ])
  return (...args: readonly string[]): Promise<Ended> =>
    runCommand([...args, '--app', 'shop', ...flags], { env })
}

test('what another database has applied is not rolled back, and waits for a person (fault 95)', async () => {
  const three = await setBack('applied it')
  const { assent, reports } = openOver(three)
  expect(await assent.recover()).toMatchObject([{ participant: 'stock', reason: 'contradicted' }])
  expect(await three.stock.prepared()).toHaveLength(1)
  const told = (): readonly unknown[] =>
    reports.filter(({ type }) => type === 'in-doubt').map((report) => report)
  await expect
    .poll(told)
    .toMatchObject([{ inDoubt: { participant: 'stock', reason: 'contradicted' } }])
  expect(await assent.recover()).toMatchObject([{ reason: 'contradicted' }])
  expect(told()).toHaveLength(1)
  expect(await assent.outcome(three.leftover.id)).toEqual({
    outcome: 'unknown',
    reason: 'contradicted',
  })
})

test('what nobody has applied is rolled back', async () => {
  const three = await setBack('nothing')
  const { assent } = openOver(three)
  expect(await assent.recover()).toEqual([])
  expect(await three.stock.prepared()).toEqual([])
  expect(await three.stock.count()).toBe(0)
  expect(await assent.outcome(three.leftover.id)).toEqual({ outcome: 'aborted' })
})

test('a participant that is down keeps nobody’s locks: its receipt is not waited for', async () => {
  const three = await setBack('nothing')
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(three.orders.pool),
      stock: participant(three.stock.pool),
      ledger: participant(three.ledger.pool, {
        recovery: { connectionString: 'postgres://nobody@127.0.0.1:1/none' },
      }),
    },
  })
  onTestFinished(() => assent.close())
  await expect.poll(() => three.stock.prepared()).toEqual([])
})

test('closing does not cut the looking short', async () => {
  const three = await setBack('applied it')
  const { assent } = openOver(three)
  const recovering = assent.recover()
  await assent.close()
  await recovering.catch(() => undefined)
  expect(await three.stock.prepared()).toHaveLength(1)
})

test('a receipt is seen beside somebody who keeps Assent’s own row locked', async () => {
  const three = await setBack('applied it')
  const client = await three.ledger.pool.connect()
  onTestFinished(() => {
    client.release(true)
  })
  await client.query('begin')
  await client.query('update assent.database set reads = reads')
  const { assent } = openOver(three)
  expect(await assent.recover()).toMatchObject([{ reason: 'contradicted' }])
})

test('outcome() does not wait for a participant that is silent', async () => {
  const three = await setBack('nothing')
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  onTestFinished(() => {
    silent.close()
  })
  const { port } = silent.address() as AddressInfo
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: participant(three.orders.pool),
      ledger: participant(three.ledger.pool, {
        recovery: { connectionString: `postgres://nobody@127.0.0.1:${port}/none` },
      }),
    },
  })
  onTestFinished(() => assent.close())
  expect(await assent.outcome(three.leftover.id)).toEqual({ outcome: 'aborted' })
})

test('what is known of one transaction is known of its siblings: outcome() too', async () => {
  const three = await setBack('applied it')
  const sibling = await leaveBehind(three, 'voted')
  sibling.vanish()
  const { assent } = openOver(three)
  expect(await assent.outcome(three.leftover.id)).toMatchObject({ reason: 'contradicted' })
  await expect
    .poll(() => assent.outcome(sibling.id))
    .toEqual({ outcome: 'unknown', reason: 'contradicted' })
})

test('on the command line: an alarm, until a person tells the register and decides', async () => {
  const three = await setBack('applied it')
  const run = commandsOn(three)
  const { txid } = three.leftover.gid
  const alarm = expect.stringMatching(/^assent: ALARM: orders was set back/) as string
  const listed = await run('list')
  expect(listed).toMatchObject({ code: 10, errors: alarm })
  expect(listed.out).toContain(
    'contradicted: orders was set back: it has no decision for what another',
  )
  // Its sibling was never decided; but who would know that now?
  const sibling = await leaveBehind(three, 'voted')
  sibling.vanish()
  expect(await run('recover')).toMatchObject({ code: 10, errors: alarm })
  expect(await three.stock.prepared()).toHaveLength(2)
  expect(await run('show', sibling.id)).toMatchObject({ code: 10, errors: alarm })
  expect(await run('resolve', sibling.id, '--abort', '--yes')).toMatchObject({
    code: 7,
    errors: expect.stringContaining('Tell it so with assent restored orders') as string,
  })
  const shown = await run('show', txid)
  expect(shown).toMatchObject({ code: 10, errors: alarm })
  expect(shown.out).toContain('decision     not to be known: orders has no row, and has lost')
  expect(json(await run('lost', '--json'))).toMatchObject({
    lost: [{ transactionId: three.leftover.id, register: 'orders', appliedIn: ['ledger'] }],
  })
  expect(await run('resolve', txid, '--commit', '--yes')).toMatchObject({
    code: 7,
    errors: expect.stringContaining('it was set back. Tell it so with assent restored') as string,
  })

  expect(await run('restored', 'orders')).toMatchObject({ code: 0 })
  expect(json(await run('list', '--json'))).toMatchObject({
    branches: [{ reason: 'held' }, { reason: 'held' }],
  })
  expect(await run('resolve', sibling.id, '--abort', '--yes')).toMatchObject({ code: 0 })
  expect(await run('resolve', txid, '--abort', '--yes')).toMatchObject({ code: 7 })
  expect(await run('resolve', txid, '--commit', '--yes')).toMatchObject({ code: 0, errors: '' })
  expect(await three.stock.count()).toBe(1)
  expect(await run('list')).toMatchObject({ code: 0, errors: '' })
  expect(await run('lost')).toMatchObject({ code: 0 })
})

test('a register that was replaced by an empty database contradicts nobody', async () => {
  const three = await setBack('applied it')
  await three.orders.sql('drop schema assent cascade')
  const run = commandsOn(three)
  const { txid } = three.leftover.gid
  expect(await run('restored', 'orders')).toMatchObject({ code: 0, errors: '' })
  const gone = await run('lost')
  expect(gone.out).toContain('of what concerns orders, nothing can be known now')
  expect(gone.errors).toMatch(/^assent: .+\nassent: .+\n$/)
  const refused = await run('resolve', txid, '--abort', '--yes', '--register-lost')
  expect(refused).toMatchObject({ code: 7 })
  expect(refused.errors).toContain(`--commit --register-lost`)
  const decided = await run('resolve', txid, '--commit', '--yes', '--register-lost')
  expect(decided).toMatchObject({ code: 0, errors: '' })
  expect(await run('migrate')).toMatchObject({ code: 0 })
  expect(await run('list')).toMatchObject({ code: 0, errors: '' })
  expect(json(await run('lost', '--json'))).toMatchObject({
    lost: [{ transactionId: three.leftover.id, register: 'orders' }],
  })
})
