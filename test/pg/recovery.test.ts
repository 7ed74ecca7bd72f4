import { describe, expect, test, onTestFinished } from 'vitest'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { openShop, writeBoth } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'
import { leaveBehind, openParticipant } from '../support/leftover.ts'

async function fate(shop: Shop): Promise<unknown> {
  return {
    orders: await shop.orders.count(),
    stock: await shop.stock.count(),
    prepared: await shop.stock.prepared(),
  }
}

const COMMITTED = { orders: 1, stock: 1, prepared: [] }
const ABORTED = { orders: 0, stock: 0, prepared: [] }

describe('recovery, by itself and in the background', () => {
  test('aborts what was prepared when its process died before the decision', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    leftover.vanish()
    await expect.poll(() => fate(shop), { timeout: 10_000 }).toEqual(ABORTED)
    expect(await shop.assent.outcome(leftover.id)).toEqual({ outcome: 'aborted' })
  })

  test('commits what was prepared when its process died after the decision', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'decided')
    leftover.vanish()
    await expect.poll(() => fate(shop), { timeout: 10_000 }).toEqual(COMMITTED)
    expect(await shop.assent.outcome(leftover.id)).toEqual({ outcome: 'committed' })
    await expect
      .poll(() => shop.reports)
      .toContainEqual(expect.objectContaining({ type: 'recovered', outcome: 'committed' }))
  })

  test('leaves alone what is prepared while its process is still alive (fault 63)', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    for (let round = 0; round < 3; round += 1) {
      expect(await shop.assent.recover()).toMatchObject([{ reason: 'running' }])
    }
    expect(await shop.stock.prepared()).toHaveLength(1)
    expect(await shop.assent.outcome(leftover.id)).toEqual({
      outcome: 'unknown',
      reason: 'running',
    })
    expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
    await expect.poll(() => fate(shop), { timeout: 10_000 }).toEqual(COMMITTED)
    leftover.voter.cut()
    await leftover.voter.end('commit', leftover.gid)
  })

  test('aborts it when its process has vanished without closing its connections', async () => {
    const shop = await openShop()
    // Nothing is cut: the server ends the owner's session when it has idled too long.
    const leftover = await leaveBehind(shop, 'voted', 500)
    expect(await shop.assent.recover()).toMatchObject([{ reason: 'running' }])
    await expect.poll(() => fate(shop), { timeout: 20_000 }).toEqual(ABORTED)
    expect(await leftover.decider.commit()).toMatchObject({ answer: 'unknown' })
    leftover.vanish()
  })

  test('works where sessions are read only by default', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    await shop.assent.close()
    for (const database of [shop.orders, shop.stock]) {
      await database.sql(`alter database ${database.name} set default_transaction_read_only = on`)
    }
    await using assent = createAssent({
      app: 'shop',
      participants: { orders: participant(shop.orders.pool), stock: participant(shop.stock.pool) },
    })
    leftover.vanish()
    await expect.poll(() => fate(shop)).toEqual(ABORTED)
    expect(await assent.inDoubt()).toEqual([])
  })

  test('by many processes at once ends it once, the same way', async () => {
    const shop = await openShop()
    const others = Array.from({ length: 4 }, () =>
      createAssent({
        app: 'shop',
        participants: {
          orders: participant(shop.orders.pool),
          stock: participant(shop.stock.pool),
        },
      }),
    )
    onTestFinished(async () => {
      await Promise.all(others.map((other) => other.close()))
    })
    for (const step of ['voted', 'decided'] as const) {
      const leftover = await leaveBehind(shop, step)
      leftover.vanish()
      await Promise.all([shop.assent, ...others].map((assent) => assent.recover()))
      await expect.poll(() => shop.stock.prepared(), { timeout: 10_000 }).toEqual([])
    }
    expect(await fate(shop)).toEqual(COMMITTED)
  })

  test('does not keep the process alive, and closes twice', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.assent.close()
    await shop.assent.close()
    await expect(shop.assent.transaction(() => 1)).rejects.toMatchObject({ code: 'ASSENT_CLOSED' })
  })
})

describe('memory', () => {
  test('a missing decision of a forgotten epoch ends nothing: the branch is held', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    await shop.orders.sql('delete from assent.epoch')
    leftover.vanish()
    await expect
      .poll(() => shop.assent.recover(), { timeout: 10_000 })
      .toMatchObject([{ participant: 'stock', reason: 'held', register: 'orders' }])
    expect(await shop.stock.prepared()).toHaveLength(1)
    expect(await shop.assent.outcome(leftover.id)).toEqual({ outcome: 'unknown', reason: 'held' })
    await expect
      .poll(() => shop.reports)
      .toMatchObject([{ type: 'in-doubt', inDoubt: { reason: 'held' } }])
  })

  test.each([
    ['lossless', []],
    ['lossy', ['held']],
  ] as const)(
    'after a fail-over that is %s, what was undecided ends so: %j',
    async (failover, left) => {
      const shop = await openShop()
      await shop.assent.close()
      const leftover = await leaveBehind(shop, 'voted')
      // The epoch was opened on another timeline: that of the server that was there before.
      await shop.orders.sql("update assent.epoch set server = '00000099'")
      const assent = createAssent({
        app: 'shop',
        participants: {
          orders: participant(shop.orders.pool, { failover }),
          stock: participant(shop.stock.pool, { failover }),
        },
        onReport: () => undefined,
      })
      onTestFinished(() => assent.close())
      await assent.transaction(async ({ orders, stock }) => {
        await orders.query('insert into t values (2)')
        await stock.query('insert into t values (2)')
      })
      leftover.vanish()
      const reasons = async () => (await assent.recover()).map(({ reason }) => reason)
      await expect.poll(reasons, { timeout: 10_000 }).toEqual(left)
      expect(await shop.stock.prepared()).toHaveLength(left.length)
      expect(await shop.orders.sql('select server from assent.epoch order by ordinal')).toEqual(
        failover === 'lossless'
          ? [{ server: '00000099' }, { server: '00000001' }]
          : [{ server: '00000001' }],
      )
    },
  )

  test('a decision that is found is obeyed, whatever was forgotten', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'decided')
    await shop.orders.sql('delete from assent.epoch')
    leftover.vanish()
    await expect.poll(() => fate(shop), { timeout: 10_000 }).toEqual(COMMITTED)
  })

  test('a transaction after the list was emptied opens a new epoch', async () => {
    const shop = await openShop({ retry: { attempts: 2, firstMs: 1 } })
    await writeBoth(shop)
    const before = await shop.orders.sql('select id from assent.epoch')
    await shop.orders.sql('delete from assent.epoch')
    await writeBoth(shop)
    const after = await shop.orders.sql('select id from assent.epoch')
    expect(after).toHaveLength(1)
    expect(after).not.toEqual(before)
  })

  test('a claim that goes first and finds its epoch unlisted is written last, with a new one', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.orders.sql("update assent.epoch set server = '00000099'")
    await writeBoth(shop)
    expect([await shop.orders.count(), await shop.stock.count()]).toEqual([2, 2])
    expect(await shop.orders.sql('select server from assent.epoch')).toEqual([
      { server: '00000001' },
    ])
  })

  test('without retries, a stale epoch aborts and says that running again helps', async () => {
    const shop = await openShop()
    await writeBoth(shop)
    await shop.orders.sql("update assent.epoch set server = '00000099'")
    await expect(writeBoth(shop, 'last')).rejects.toMatchObject({
      code: 'ASSENT_STALE_EPOCH',
      outcome: 'aborted',
      retryable: true,
    })
    await writeBoth(shop)
    expect(await shop.orders.sql('select server from assent.epoch')).toEqual([
      { server: '00000001' },
    ])
  })
})

describe('a lost vote', () => {
  test('is an alarm and an error of its own, never a success', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'decided')
    await shop.stock.sql(`rollback prepared '${(await shop.stock.prepared())[0] ?? ''}'`)
    // Nothing is listed any more; the process that still waits for its answer asks.
    const { Recovery } = await import('../../src/engine/index.ts')
    const { nodeWorld } = await import('../../src/platform/node-world.ts')
    const participants = new Map([
      ['orders', openParticipant(shop, 'orders')],
      ['stock', openParticipant(shop, 'stock')],
    ])
    const recovery = new Recovery({
      participants,
      world: nodeWorld,
      report: (report) => shop.reports.push(report),
      signal: new AbortController().signal,
    })
    const stock = participants.get('stock')!
    expect(await recovery.handOver(stock, leftover.gid)).toBe('lost')
    expect(shop.reports).toContainEqual(
      expect.objectContaining({ type: 'lost-vote', participant: 'stock' }),
    )
    expect(await shop.orders.sql('select decision from assent.mark')).toEqual([
      { decision: 'commit' },
    ])
    leftover.vanish()
    await Promise.all([...participants.values()].map((each) => each.close()))
  })

  test('that was only ended by somebody else is none', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'decided')
    await shop.stock.sql(`commit prepared '${(await shop.stock.prepared())[0] ?? ''}'`)
    leftover.vanish()
    await shop.assent.recover()
    expect(shop.reports.filter((report) => report.type === 'lost-vote')).toEqual([])
  })
})

describe('strangers', () => {
  test('are left alone and reported: other apps (fault 69), unreadable ids (fault 70), unknown registers', async () => {
    const shop = await openShop()
    const gids = {
      'A1.other.orders.AAAAAAAA.AAAAAAAAAAAAAAAAAAAA.stock': 'other-app',
      'A1.shop.orders.hand-made': 'unreadable',
      'A9.shop.orders.AAAAAAAA.AAAAAAAAAAAAAAAAAAAA.stock': 'unreadable',
      'A1.shop.gone.AAAAAAAA.AAAAAAAAAAAAAAAAAAAA.stock': 'register-not-configured',
    }
    for (const gid of [...Object.keys(gids), 'somebody-elses']) {
      await shop.stock.sql(`begin; insert into t values (9); prepare transaction '${gid}'`)
    }
    const left = await shop.assent.recover()
    expect(Object.fromEntries(left.map((each) => [each.gid, each.reason]))).toEqual(gids)
    expect(await shop.stock.prepared()).toHaveLength(5)
    // Reported once they have stayed for some seconds: other apps end theirs within moments.
    const reported = (): readonly string[] =>
      shop.reports
        .map((report) => (report.type === 'in-doubt' ? report.inDoubt.gid : report.type))
        .sort()
    await expect.poll(reported, { timeout: 15_000 }).toEqual(Object.keys(gids).sort())
  })

  test('a branch that another role owns is left alone, and says so', async () => {
    const shop = await openShop()
    const role = `owner_${shop.stock.name}`
    await shop.stock.sql(`create role ${role} login password 'x'`)
    await shop.stock.sql(`grant insert on t to ${role}`)
    const gid = 'A1.shop.orders.AAAAAAAA.AAAAAAAAAAAAAAAAAAAA.stock'
    await shop.stock.sql(
      `begin; set local role ${role}; insert into t values (9); prepare transaction '${gid}'`,
    )
    // A superuser may end it; the same list is read by a role that may not.
    const seen = await shop.stock.sql(
      'select owner, owner = current_user as mine from pg_prepared_xacts where gid = $1',
      [gid],
    )
    expect(seen).toEqual([{ owner: role, mine: false }])
    await shop.stock.sql(`rollback prepared '${gid}'`)
    await shop.stock.sql(`drop owned by ${role}`)
    await shop.stock.sql(`drop role ${role}`)
  })
})

describe('what can be asked', () => {
  test('a bare tx.id answers committed or unknown, and is never inserted', async () => {
    const shop = await openShop()
    const txid = await writeBoth(shop)
    expect(await shop.assent.outcome(txid)).toEqual({ outcome: 'committed' })
    expect(await shop.assent.outcome('AAAAAAAAAAAAAAAAAAAA')).toEqual({
      outcome: 'unknown',
      reason: 'not-found',
    })
    for (const id of ['nonsense', undefined, 7]) {
      await expect(shop.assent.outcome(id as string)).rejects.toMatchObject({ code: 'ASSENT_ID' })
    }
  })

  test('an outcome that is still open can be waited for', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    const waiting = shop.assent.outcome(leftover.id, { waitMs: 10_000 })
    expect(await leftover.decider.commit()).toEqual({ answer: 'yes' })
    expect(await waiting).toEqual({ outcome: 'committed' })
    leftover.vanish()
  })

  test('a signal ends the waiting for an answer, and the answer is unknown', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    const waiting = shop.assent.outcome(leftover.id, {
      waitMs: 60_000,
      signal: AbortSignal.timeout(300),
    })
    expect(await waiting).toMatchObject({ outcome: 'unknown' })
    leftover.vanish()
  })

  test('whoever is on call sees what is in doubt with SQL alone', async () => {
    const shop = await openShop()
    const leftover = await leaveBehind(shop, 'voted')
    const rows = await shop.stock.sql(
      'select app, register, branch, txid, reason from assent.in_doubt',
    )
    const { txid } = leftover.gid
    expect(rows).toEqual([
      {
        app: 'shop',
        register: 'orders',
        branch: 'stock',
        txid,
        reason: `ask orders for mark ${txid}`,
      },
    ])
    expect(await shop.assent.inDoubt()).toMatchObject([
      { participant: 'stock', register: 'orders' },
    ])
    leftover.vanish()
  })
})
