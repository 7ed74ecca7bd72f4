/**
 * What another process does with what was left behind on MariaDB.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { Over } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { assentOver, freshApp, openParticipant, openStore } from '../support/pairs.ts'
import type { Stores } from '../support/pairs.ts'
import { mysqlBranch } from '../support/mysql-branch.ts'
import { leaveBehind } from '../support/pair-leftover.ts'
import type { Both } from '../support/pair-leftover.ts'
import { COMMITTED, fate, recoverPair } from './recovery-suite.ts'

recoverPair('postgres', 'mariadb by mysql2')

describe('a decider that its server left prepared', () => {
  test('is committed by whoever finds it, and reported', async () => {
    const app = freshApp()
    const stores: Stores<Both> = {
      orders: await openStore('mariadb with a binary log', app),
      stock: await openStore('postgres', app),
    }
    const leftover = await leaveBehind(app, stores, 'voted')
    // As a crash inside XA COMMIT … ONE PHASE does.
    const { link, xid } = mysqlBranch(leftover.decider).lent
    expect(await link.send(`XA PREPARE ${xid}`)).toMatchObject({ kind: 'answered' })
    leftover.vanish()
    const pairing = assentOver(app, stores)
    await expect.poll(() => fate(pairing), { timeout: 15_000 }).toEqual(COMMITTED)
    expect(await stores.orders.prepared(app)).toEqual([])
    expect(pairing.reports).toContainEqual({
      type: 'decider-prepared',
      participant: 'orders',
      gid: `${leftover.id}.orders`,
    })
    expect(await pairing.assent.outcome(leftover.id)).toEqual({ outcome: 'committed' })
  })
})

describe('what is prepared by others', () => {
  test('is left alone: of another app, made by hand, of nobody that we know', async () => {
    const app = freshApp()
    const stores = { stock: await openStore('mariadb by mysql2', app) }
    const participant = openParticipant(app, 'stock', stores.stock)
    const epoch = await participant.currentEpoch()
    const txid = 'A'.repeat(20)
    const others = [
      // A decider of another app: not ours to commit.
      `'A1.${app}x.stock.${epoch}.${txid}','stock.1.1',16723`,
      // Like ours, without the connection.
      `'A1.${app}.stock.${epoch}.${txid}','stock',16723`,
      // Another format.
      `'A1.${app}.stock.${epoch}.${txid}','stock.1.1',1`,
      `X'00ff27',X'5c',7`,
    ]
    const sql = (text: string): Promise<unknown> => stores.stock.sql(text)
    for (const xid of others) {
      const own = openParticipant(app, 'stock', stores.stock)
      const branch = await own.join({
        txid,
        access: 'write',
        gid: { app, register: 'stock', epoch, txid, branch: 'stock' },
        isolation: undefined,
        deadline: nodeWorld.now() + 10_000,
        timeoutMs: 10_000,
        waiting: new Over(),
        firstClaim: () => undefined,
      })
      const { link, xid: begun } = mysqlBranch(branch).lent
      for (const text of [
        `XA END ${begun}`,
        `XA ROLLBACK ${begun}`,
        `XA START ${xid}`,
        'INSERT INTO t VALUES (1)',
        `XA END ${xid}`,
        `XA PREPARE ${xid}`,
      ]) {
        expect(await link.send(text)).toMatchObject({ kind: 'answered' })
      }
      branch.cut()
    }
    onTestFinished(async () => {
      for (const xid of others) await sql(`XA ROLLBACK ${xid}`).catch(() => undefined)
    })
    const { assent, reports } = assentOver(app, stores)
    const left = await assent.recover()
    const ours = left.filter(({ gid }) => gid.includes(app))
    expect(ours.map(({ reason }) => reason).sort()).toEqual(['other-app', 'unreadable'])
    expect(await stores.stock.count()).toBe(0)
    expect(reports.filter(({ type }) => type === 'recovered')).toEqual([])
    const listed = await stores.stock.sql('XA RECOVER')
    expect(listed.length).toBeGreaterThanOrEqual(4)
  })
})
