/**
 * A connection of MariaDB leaves the list of its server a moment before InnoDB has let go of the branch
 * that it prepared. Whoever ends the branch in that moment is told OK, and nothing happens: its rows stay
 * locked, and it is listed nowhere. Recovery therefore takes a connection for gone only after two looks.
 */
import { describe, expect, test } from 'vitest'
import { Over } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Participant } from '../../src/ports/index.ts'
import type { Gid } from '../../src/protocol/index.ts'
import { mysqlBranch } from '../support/mysql-branch.ts'
import { freshApp, openParticipant, openStore, runOn } from '../support/pairs.ts'
import type { Store } from '../support/pairs.ts'

/** ASSENT_ROUNDS=8000 looks as long as it was measured with. */
const ROUNDS = Number(process.env['ASSENT_ROUNDS'] ?? 100)
const AT_ONCE = 4
const MOST_TRIES = 200

describe.each(['mariadb by mysql2', 'mariadb with a binary log'] as const)('on %s', (kind) => {
  test(`of ${ROUNDS} branches whose connection was just ended, none stays locked and unlisted`, async () => {
    const app = freshApp()
    const store = await openStore(kind, app)
    await store.sql('CREATE TABLE w (x int PRIMARY KEY, n int NOT NULL) ENGINE = InnoDB')
    const lanes = Array.from({ length: AT_ONCE }, (_, at) => at)
    await store.sql(`INSERT INTO w VALUES ${lanes.map((at) => `(${at}, 0)`).join(', ')}`)
    const participant = openParticipant(app, 'stock', store)
    await participant.readyToMark()
    const epoch = await participant.currentEpoch()
    let left = ROUNDS
    const stuck: string[] = []
    await Promise.all(
      lanes.map(async (lane) => {
        while (left > 0) {
          left -= 1
          const gid = { app, register: 'orders', epoch, txid: freshTxid(), branch: 'stock' }
          const trouble = await endAtOnce({ store, participant, lane, gid, decision: left % 2 })
          if (trouble === undefined) continue
          // Its row is lost to this lane.
          stuck.push(trouble)
          return
        }
      }),
    )
    expect(stuck).toEqual([])
    const [sum] = await store.sql('SELECT SUM(n) AS n FROM w')
    expect(Number(sum?.['n'])).toBe(Math.ceil(ROUNDS / 2))
  }, 1_800_000)
})

interface Round {
  readonly store: Store
  readonly participant: Participant
  /** Its own row, which nobody else takes. */
  readonly lane: number
  readonly gid: Gid
  readonly decision: number
}

/** Prepares a branch, ends its connection, and ends it at once. Returns what is wrong, if it is. */
async function endAtOnce(round: Round): Promise<string | undefined> {
  const { store, participant, lane, gid } = round
  const branch = await participant.join({
    gid,
    txid: gid.txid,
    access: 'write',
    isolation: undefined,
    deadline: nodeWorld.now() + 60_000,
    timeoutMs: 60_000,
    waiting: new Over(),
    firstClaim: () => undefined,
  })
  await runOn(branch, `UPDATE w SET n = n + 1 WHERE x = ${lane}`)
  branch.seal()
  const mark = { id: gid, participants: ['orders', 'stock'] }
  expect(await branch.vote(mark, gid)).toEqual({ answer: 'yes' })
  const { owner } = mysqlBranch(branch).lent.server
  const decision = round.decision === 0 ? 'commit' : 'abort'
  const end = async (): Promise<string> => (await participant.endPrepared(gid, decision)).answer
  // Nobody waits for the other: some of them come in the very moment.
  const killed = store.sql(`KILL CONNECTION ${owner.connection}`)
  const answers = [...(await Promise.all([end(), end(), killed.then(end)]))]
  branch.cut()
  branch.leave()
  for (let attempt = 0; attempt < MOST_TRIES; attempt += 1) {
    if (answers.some((answer) => answer !== 'unknown')) break
    answers.push(await end())
    const isListed = (await store.prepared(gid.app)).some((each) => each.includes(gid.txid))
    if (!isListed && (await isLocked(store, lane))) break
  }
  const isLeft = await isLocked(store, lane)
  return isLeft ? `${gid.txid}: locked after ${answers.join(', ')}` : undefined
}

async function isLocked(store: Store, lane: number): Promise<boolean> {
  const free = await store.sql(`SELECT x FROM w WHERE x = ${lane} FOR UPDATE SKIP LOCKED`)
  return free.length === 0
}

function freshTxid(): string {
  return Buffer.from(nodeWorld.randomBytes(15)).toString('base64url')
}
