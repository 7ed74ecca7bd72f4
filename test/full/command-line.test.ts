/**
 * The command line, as a process of its own, against real servers: what an operator sees, and what
 * happens to what he asks for.
 */
import { describe, expect, test } from 'vitest'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { assentOn, json } from '../support/command-line.ts'
import { leaveBehind } from '../support/leftover.ts'
import type { Leftover } from '../support/leftover.ts'

interface Shop {
  readonly orders: TestDatabase
  readonly stock: TestDatabase
}

async function openDatabases(): Promise<Shop> {
  const [orders, stock] = await Promise.all([freshDatabase('first'), freshDatabase('second')])
  return { orders, stock }
}

/** Prepared in stock, its process is dead, and orders remembers nothing. */
async function leaveHeld(shop: Shop): Promise<Leftover> {
  const leftover = await leaveBehind(shop, 'voted')
  leftover.vanish()
  await shop.orders.sql('delete from assent.epoch')
  await expect.poll(() => shop.stock.prepared()).toHaveLength(1)
  return leftover
}

const fate = async ({ orders, stock }: Shop) => ({
  orders: await orders.count(),
  stock: await stock.count(),
  prepared: (await stock.prepared()).length,
  marks: (await orders.sql('select decision from assent.mark')).map((row) => row['decision']),
})

describe('what recovery can settle', () => {
  test('is listed, shown, and settled once its process is dead', async () => {
    const shop = await openDatabases()
    const run = assentOn(shop)
    const leftover = await leaveBehind(shop, 'voted')
    const listed = await run('list', '--json')
    expect(json(listed)).toMatchObject({
      app: 'shop',
      branches: [{ participant: 'stock', reason: 'running', owner: 'role postgres' }],
      unreachable: [],
    })
    const shown = await run('show', leftover.gid.txid)
    expect(shown.out).toContain(`transaction  ${leftover.id}\n`)
    expect(shown.out).toContain(
      'stock: its transaction is still open at orders; recovery waits until that has ended.',
    )
    expect(await run('recover')).toMatchObject({ code: 5 })
    leftover.vanish()
    await expect
      .poll(async () => json(await run('list', '--json')))
      .toMatchObject({ branches: [{ reason: 'decided-abort' }] })
    const recovered = await run('recover')
    expect(recovered).toMatchObject({ code: 0, errors: '' })
    expect(recovered.out).toMatch(/^aborted {2}stock {2}A1\.shop\.orders\..*\n1 ended, nothing/)
    expect(await fate(shop)).toEqual({ orders: 0, stock: 0, prepared: 0, marks: [] })
    expect((await run('show', leftover.id)).out).toContain('it can never commit')
  })

  test('is drained, and not drained while it is still running', async () => {
    const shop = await openDatabases()
    const run = assentOn(shop)
    const leftover = await leaveBehind(shop, 'voted')
    const waited = await run('drain', '--timeout', '300ms', '--json')
    expect(waited).toMatchObject({ code: 5, errors: 'assent: not drained within 300ms\n' })
    expect(json(waited)).toMatchObject({ drained: false, stays: [{ reason: 'running' }] })
    const draining = run('drain', '--timeout', '30s', '--json')
    expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
    const drained = await draining
    expect(drained).toMatchObject({ code: 0, errors: '' })
    expect(json(drained)).toMatchObject({ drained: true, stays: [] })
    expect(await fate(shop)).toMatchObject({ orders: 1, stock: 1, prepared: 0 })
    leftover.vanish()
  })
})

describe('what is held', () => {
  test.each(['commit', 'abort'] as const)('is decided by hand: %s', async (wish) => {
    const shop = await openDatabases()
    const run = assentOn(shop)
    const { id, gid } = await leaveHeld(shop)
    expect(await run('recover')).toMatchObject({ code: 5 })
    const asked = await run('resolve', id, `--${wish}`)
    expect(asked).toMatchObject({ code: 7, out: '' })
    expect(asked.errors).toMatch(/^assent: resolve asks .* no terminal .* --yes .*\n$/)
    expect((await fate(shop)).prepared).toBe(1)
    const given = ['--yes', '--by', 'ada', '--reason', "INC-1: 'restored'; ü"]
    const resolved = await run('resolve', id, `--${wish}`, ...given)
    expect(resolved).toMatchObject({ code: 0, errors: '' })
    expect(resolved.out).toContain(`write heuristic-${wish}, once and for all`)
    expect(await fate(shop)).toEqual({
      orders: 0,
      stock: wish === 'commit' ? 1 : 0,
      prepared: 0,
      marks: [`heuristic-${wish}`],
    })
    const records =
      'select txid, branch, decision, basis, decided_by, reason from assent.resolution'
    const record = { txid: gid.txid, decision: wish, basis: 'register', decided_by: 'ada' }
    for (const branch of ['orders', 'stock'] as const) {
      expect(await shop[branch].sql(records)).toEqual([
        { ...record, branch, reason: "INC-1: 'restored'; ü" },
      ])
    }
    const shown = await run('show', id)
    expect(shown.out).toContain(`(heuristic-${wish})`)
    expect(shown.out).toContain(`ada decided ${wish} for stock by hand: INC-1: 'restored'; ü\n`)
    // The write-once register stays the arbiter.
    const other = wish === 'commit' ? 'abort' : 'commit'
    expect(await run('resolve', id, `--${other}`, '--yes')).toMatchObject({ code: 6, out: '' })
  })

  test('is refused to be decided against a receipt, and while another participant can’t be read', async () => {
    const shop = await openDatabases()
    const { id, gid } = await leaveHeld(shop)
    const third = await freshDatabase('first')
    const withThird = ['--participant', 'third=env:THIRD_URL']
    const run = assentOn(shop, { THIRD_URL: third.url })
    await run('migrate', ...withThird)
    await third.sql(
      "insert into assent.mark values ($1, 'commit', 'shop', 'orders', $2, '{orders,stock,third}')",
      [gid.txid, gid.epoch],
    )
    const refused = await run('resolve', id, '--abort', '--yes', ...withThird)
    expect(refused).toMatchObject({ code: 7, out: '' })
    expect(refused.errors).toMatch(/^assent: third has applied the commit .*--commit\n$/)
    const gone = ['--participant', 'third=postgres://nobody:secret@127.0.0.1:1/none']
    const unread = await run('resolve', id, '--commit', '--yes', ...gone)
    expect(unread).toMatchObject({ code: 7, out: '' })
    expect(unread.errors).toMatch(/^assent: third can't be read/)
    expect(unread.errors).not.toContain('secret')
    expect(await fate(shop)).toEqual({ orders: 0, stock: 0, prepared: 1, marks: [] })
    const agreed = await run('resolve', id, '--commit', '--yes', ...withThird)
    expect(agreed).toMatchObject({ code: 0, errors: '' })
    expect(agreed.out).toContain('Its commit has been applied in third.')
  })
})

describe('what a register has decided, or can still decide', () => {
  test('is refused to be decided by hand, whatever is wished', async () => {
    const shop = await openDatabases()
    const run = assentOn(shop)
    const resolve = (id: string, wish: string, ...more: readonly string[]) =>
      run('resolve', id, wish, '--yes', ...more)
    const running = await leaveBehind(shop, 'voted')
    expect(await resolve(running.id, '--abort')).toMatchObject({
      code: 7,
      errors: expect.stringContaining('is still running at orders') as string,
    })
    running.vanish()
    await expect
      .poll(async () => (await resolve(running.id, '--commit', '--register-lost')).errors)
      .toMatch(/orders remembers that .* never committed: it is an abort. Run assent recover/)
    await run('recover')
    const decided = await leaveBehind(shop, 'decided')
    decided.vanish()
    for (const wish of ['--abort', '--commit']) {
      const refused = await resolve(decided.id, wish, '--register-lost')
      expect(refused).toMatchObject({ code: 7, out: '' })
      expect(refused.errors).toMatch(/^assent: orders has decided .* commit. Run assent recover\n$/)
    }
    expect(await run('recover')).toMatchObject({ code: 0 })
    expect(await fate(shop)).toMatchObject({ orders: 1, stock: 1, prepared: 0 })
  })
})

describe('a register that can’t be reached', () => {
  test('hides nothing, and is only given up when that is said', async () => {
    const shop = await openDatabases()
    const lost = { orders: { url: 'postgres://nobody:secret@127.0.0.1:1/none' }, stock: shop.stock }
    const without = assentOn(lost)
    const leftover = await leaveBehind(shop, 'voted')
    leftover.vanish()
    const { id } = leftover
    const listed = await without('list')
    expect(listed).toMatchObject({ code: 8 })
    expect(listed.out).toContain("orders can't be asked; recovery waits until it can.")
    expect(listed.errors).toMatch(/^assent: Participant orders: no connection .*\n$/)
    expect(await without('recover')).toMatchObject({ code: 8 })
    const silent = await without('resolve', id, '--commit', '--yes')
    expect(silent).toMatchObject({ code: 7, out: '' })
    expect(silent.errors).toMatch(/^assent: orders can't be asked. .*--register-lost\n$/)
    const done = await without('resolve', id, '--commit', '--yes', '--register-lost')
    expect(done).toMatchObject({ code: 0, errors: '' })
    expect(await fate(shop)).toMatchObject({ stock: 1, prepared: 0, marks: [] })
    for (const each of [listed, silent, done]) {
      expect(each.out + each.errors).not.toContain('secret')
    }
    // It comes back, and remembers that it never decided so.
    const back = await assentOn(shop)('list')
    expect(back).toMatchObject({ code: 10 })
    expect(back.errors).toMatch(/^assent: ALARM: .* decided commit .* now has nothing/)
    // It remembers nothing: that it was lost is what was said.
    await shop.orders.sql('delete from assent.epoch')
    expect(await assentOn(shop)('list')).toMatchObject({ code: 0 })
  })

  test('is an alarm when it comes back with a commit that was aborted by hand', async () => {
    const shop = await openDatabases()
    const lost = { orders: { url: 'postgres://nobody@127.0.0.1:1/none' }, stock: shop.stock }
    const leftover = await leaveBehind(shop, 'decided')
    leftover.vanish()
    const given = ['resolve', leftover.gid.txid, '--abort', '--yes', '--register-lost']
    expect(await assentOn(lost)(...given)).toMatchObject({ code: 0 })
    expect(await fate(shop)).toMatchObject({ orders: 1, stock: 0, prepared: 0 })
    for (const command of [['list'], ['show', leftover.id], ['recover']]) {
      const told = await assentOn(shop)(...command)
      expect(told).toMatchObject({ code: 10 })
      expect(told.errors).toMatch(/^assent: ALARM: .* decided abort .* now has commit/)
    }
  })
})

describe('a restored database', () => {
  test('is said to be so, and holds what it may have lost', async () => {
    const shop = await openDatabases()
    const run = assentOn(shop)
    const leftover = await leaveBehind(shop, 'voted')
    leftover.vanish()
    const printed = await run('restored', 'orders', '--print')
    expect(printed).toEqual({ code: 0, out: 'DELETE FROM "assent".epoch;\n', errors: '' })
    expect(await shop.orders.sql('select count(*)::int as n from assent.epoch')).toEqual([{ n: 1 }])
    expect(await run('restored', 'orders')).toMatchObject({ code: 0, errors: '' })
    expect(json(await run('list', '--json'))).toMatchObject({ branches: [{ reason: 'held' }] })
    const unknown = await run('restored', 'orderz')
    expect(unknown).toEqual({
      code: 2,
      out: '',
      errors:
        'assent: "orderz" is no participant of this configuration. Expected one of orders, stock\n',
    })
  })
})
