/**
 * The decider is MariaDB, and its server dies around its commit: what was acknowledged is there, and what
 * was left prepared in the midst of it is committed by whoever finds it, and reported.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import mysql from 'mysql2/promise'
import { eventually } from '../../harness/eventually.ts'
import { HeldFlush } from '../../harness/held-flush.ts'
import type { Verdict } from '../../harness/wire-proxy.ts'
import type { MariadbServer } from '../../harness/mariadb-server.ts'
import { recoverAndJudge } from '../crash/crash.ts'
import { Over } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { NO_EPOCH } from '../../src/protocol/index.ts'
import { makeTxid } from '../../src/transaction/txid.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import type { CrashPoint, Fate } from '../crash/crash-points.ts'
import { label } from '../crash/crash-points.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import { PAIRS } from '../crash/pairs.ts'
import { BINLOG } from '../support/global-servers.ts'
import { ownMariadb } from '../support/mariadb-databases.ts'
import { mysqlBranch } from '../support/mysql-branch.ts'
import { assentOver, freshApp, openParticipant, openStore, runOn } from '../support/pairs.ts'

const { scenario, golden } = PAIRS['mariadb with a binary log decides, postgres votes']
const held = new HeldFlush()
let cluster: CrashCluster

beforeAll(async () => {
  const orders = { name: 'orders', system: 'mariadb with a binary log', env: held.env } as const
  cluster = await CrashCluster.start([orders, { name: 'stock', system: 'postgres' }])
})

afterAll(async () => {
  held.release()
  await cluster.remove()
  held.remove()
})

describe('why a decider with a binary log is prepared first: XA COMMIT … ONE PHASE', () => {
  test('that was acknowledged comes back as prepared, with a binary log', async () => {
    const server = await ownMariadb('one-phase', BINLOG)
    const found = await onePhaseAndKill(server, 3)
    console.log(`acknowledged, then killed, with a binary log: ${found.join(', ')}`)
    expect(found).toContain('prepared')
  })

  test('that was acknowledged is there, without a binary log', async () => {
    const found = await onePhaseAndKill(await ownMariadb('one-phase'), 5)
    expect(found).toEqual(['committed', 'committed', 'committed', 'committed', 'committed'])
  })
})

const [decide, finish] = ['orders decide 1', 'orders finish 1']
const PREPARED: readonly (readonly [CrashPoint, Fate, boolean])[] = [
  [{ message: decide, stage: 'sent, not processed' }, 'aborted', false],
  [{ message: decide, stage: 'processed, not answered' }, 'committed', true],
  [{ message: finish, stage: 'sent, not processed' }, 'committed', true],
  [{ message: finish, stage: 'processed, not answered' }, 'committed', false],
]

describe('its server and its process die', () => {
  test.each(PREPARED.map((each) => [label(each[0]), ...each] as const))(
    'at %s (fault 22)',
    async (_label, point, fate, isFound) => {
      await using owner = await die(point, async (struck) => {
        const verdict = struck.kill()
        await cluster.database('orders').server.kill()
        return verdict
      })
      await expectAftermath(owner, fate, isFound)
    },
  )

  test.each([
    [decide, 'XA PREPARE', 'aborted', false],
    [finish, 'XA COMMIT', 'committed', true],
  ] as const)('inside %s (%s), before it is written: %s (fault 20)', async (...each) => {
    const [message, text, fate, isFound] = each
    const orders = cluster.database('orders')
    await using owner = await die({ message, stage: 'sent, not processed' }, (struck) => {
      held.hold()
      return killInside(struck)
    })
    await expectAftermath(owner, fate, isFound)

    /** The message passes; the server dies while it works on it. */
    function killInside(struck: DoomedProcess): Promise<Verdict> {
      void (async () => {
        const inside = 'SELECT id FROM information_schema.processlist WHERE info LIKE ?'
        await eventually(text, async () => (await orders.sql(inside, [`${text}%`])).length > 0)
        struck.kill()
        await orders.server.kill()
        held.release()
      })()
      return Promise.resolve('pass')
    }
  })
})

test('one that wrote alone is committed, where Assent has no tables', async () => {
  const app = freshApp()
  const stores = { orders: await openStore('mariadb with a binary log', app) }
  const txid = makeTxid(nodeWorld)
  const branch = await openParticipant(app, 'orders', stores.orders).join({
    txid,
    access: 'write',
    gid: { app, register: 'orders', epoch: NO_EPOCH, txid, branch: 'orders' },
    isolation: undefined,
    deadline: nodeWorld.now() + 60_000,
    timeoutMs: 60_000,
    waiting: new Over(),
    firstClaim: () => undefined,
  })
  await runOn(branch, 'insert into t values (1)')
  const { link, xid } = mysqlBranch(branch).lent
  for (const text of ['XA END', 'XA PREPARE']) {
    expect(await link.send(`${text} ${xid}`)).toMatchObject({ kind: 'answered' })
  }
  branch.cut()
  assentOver(app, stores)
  await expect.poll(() => stores.orders.count()).toBe(1)
})

/** The process dies at this point, and its decider's server with it. */
async function die(
  point: CrashPoint,
  act: (struck: DoomedProcess) => Promise<Verdict>,
): Promise<DoomedProcess> {
  const owner = await DoomedProcess.start(cluster, 'transfer', scenario, { point, act })
  expect(await owner.run()).toBe('SIGKILL')
  const isDead = () => !cluster.database('orders').server.isRunning
  await eventually('the server to be dead', isDead)
  return owner
}

async function expectAftermath(owner: DoomedProcess, fate: Fate, isFound: boolean): Promise<void> {
  await cluster.database('orders').server.start()
  const judged = await recoverAndJudge({ cluster, scenario, golden }, owner, fate)
  expect(judged.disagreements).toEqual([])
  expect(new Set(judged.foundPrepared)).toEqual(new Set(isFound ? ['orders'] : []))
}

/** What has become of commits that were acknowledged right before their server was killed. */
async function onePhaseAndKill(server: MariadbServer, times: number): Promise<readonly string[]> {
  const found: string[] = []
  await server.createDatabase('shop')
  for (let at = 0; at < times; at += 1) {
    const client = await mysql.createConnection(server.url('shop'))
    client.on('error', () => undefined)
    await client.query('CREATE TABLE IF NOT EXISTS t (x int PRIMARY KEY) ENGINE = InnoDB')
    for (const text of ['XA START', 'INSERT', 'XA END', 'XA COMMIT']) {
      if (text === 'INSERT') await client.query('INSERT INTO t VALUES (?)', [at])
      else await client.query(`${text} 'one-${at}'${text === 'XA COMMIT' ? ' ONE PHASE' : ''}`)
    }
    await server.kill()
    await server.start()
    const next = await mysql.createConnection(server.url('shop'))
    const [rows] = await next.query<mysql.RowDataPacket[]>('SELECT x FROM t WHERE x = ?', [at])
    const [prepared] = await next.query<mysql.RowDataPacket[]>('XA RECOVER')
    found.push(prepared.length > 0 ? 'prepared' : rows.length > 0 ? 'committed' : 'lost')
    for (const { data } of prepared) await next.query(`XA COMMIT '${String(data)}'`)
    await next.end()
  }
  return found
}
