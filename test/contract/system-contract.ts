/**
 * What every system must keep: the contract of `src/ports/participant.ts`, as tests.
 *
 * A system runs it by giving `describeSystem` a way to open a database of its own. Nothing here
 * names SQL of one system, but for the statements that the system hands in.
 */
import { describe, expect, test } from 'vitest'
import { Over } from '../../src/engine/index.ts'
import type { Branch, JoinRequest, Mark, Participant, Question } from '../../src/ports/index.ts'
import type { Gid, TransactionId } from '../../src/protocol/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { makeTxid } from '../../src/transaction/txid.ts'
import { describeByHand } from './by-hand-contract.ts'
import { describeRegister } from './register-contract.ts'

export interface SystemDatabase {
  readonly participant: Participant
  /** Runs the statement that adds one row, on the branch's handle. */
  write(branch: Branch): Promise<void>
  /** Runs a statement that fails so that all of the branch's work is undone, and swallows its error. */
  failInside(branch: Branch): Promise<void>
  /** Ends the transaction behind the guard's back, as a text that it can't read would. */
  escape(branch: Branch): Promise<void>
  /** Cuts the connection of the branch from the server's side. */
  kill(branch: Branch): Promise<void>
  /** Rows that are visible to everybody. */
  rows(): Promise<number>
  /** Marks that are visible to everybody, by txid. */
  marks(): Promise<readonly string[]>
  /** Takes an epoch off the list, as forgetting or a restore would. */
  unlist(epoch: string): Promise<void>
  /** Makes an epoch one of another server, as a fail-over would. */
  moveEpoch(epoch: string): Promise<void>
}

export interface System {
  readonly name: string
  /**
   * When an escape is noticed: at its own answer; or only at the mark, where no text can be an escape,
   * since the server itself refuses all that do not name the transaction.
   */
  readonly noticesEscape: 'at once' | 'at its mark'
  open(): Promise<SystemDatabase>
}

const PARTICIPANTS = ['contract', 'other']

export interface Scene {
  readonly database: SystemDatabase
  readonly participant: Participant
  readonly id: TransactionId
  readonly gid: Gid
  readonly mark: Mark
  readonly question: Question
}

async function scene(system: System): Promise<Scene> {
  const database = await system.open()
  const { participant } = database
  await participant.readyToMark()
  const epoch = await participant.currentEpoch()
  const id = { app: 'contract', register: 'contract', epoch, txid: makeTxid(nodeWorld) }
  const gid = { ...id, branch: 'contract' }
  return { database, participant, id, gid, mark: { id, participants: PARTICIPANTS }, question: id }
}

function request(id: TransactionId, over: Partial<JoinRequest> = {}): JoinRequest {
  return {
    txid: id.txid,
    access: 'write',
    gid: { ...id, branch: 'contract' },
    isolation: undefined,
    deadline: nodeWorld.now() + 10_000,
    timeoutMs: 10_000,
    waiting: new Over(),
    firstClaim: () => undefined,
    ...over,
  }
}

async function joined(of: Scene, over: Partial<JoinRequest> = {}): Promise<Branch> {
  const branch = await of.participant.join(request(of.id, over))
  if (over.access !== 'read') await of.database.write(branch)
  return branch
}

async function prepared(of: Scene): Promise<Branch> {
  const branch = await joined(of)
  branch.seal()
  expect(await branch.vote(of.mark, of.gid)).toEqual({ answer: 'yes' })
  return branch
}

async function listed(of: Scene): Promise<readonly string[]> {
  const { branches } = await of.participant.listPrepared()
  return branches.map((branch) => branch.gid).filter((gid) => gid.includes(of.id.txid))
}

export function describeSystem(system: System): void {
  const open = (): Promise<Scene> => scene(system)

  describe(`${system.name}: a branch`, () => {
    test('commits in one phase, and its answer is yes', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      expect(await branch.commit()).toEqual({ answer: 'yes' })
      expect(await of.database.rows()).toBe(1)
    })

    test('rolls back when it is ended before anything was marked', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      expect(await branch.end('abort', undefined)).toEqual({ answer: 'done' })
      expect(await of.database.rows()).toBe(0)
    })

    test('claims, commits, and its mark is there', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      expect(await branch.claim(of.mark)).toEqual({ answer: 'yes' })
      expect(await of.database.marks()).toEqual([])
      expect(await branch.commit()).toEqual({ answer: 'yes' })
      expect(await of.database.marks()).toEqual([of.id.txid])
    })

    test('a claim that names an epoch which is not listed is a no, and leaves nothing', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      const id = { ...of.id, epoch: 'AAAAAAAA' }
      const answer = await branch.claim({ ...of.mark, id })
      expect(answer).toMatchObject({ answer: 'no', cause: { code: 'ASSENT_STALE_EPOCH' } })
      expect(await branch.end('abort', undefined)).toEqual({ answer: 'done' })
      expect([await of.database.rows(), await of.database.marks()]).toEqual([0, []])
    })

    test('a claim that names another server’s epoch is a no', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      await of.database.moveEpoch(of.id.epoch)
      expect(await branch.claim(of.mark)).toMatchObject({ answer: 'no' })
      await branch.end('abort', undefined)
      of.participant.forgetEpoch()
      expect(await of.participant.currentEpoch()).not.toBe(of.id.epoch)
    })

    test('a second claim of the same txid is a no (fault 73)', async () => {
      const of = await open()
      const first = await joined(of)
      first.seal()
      await first.claim(of.mark)
      await first.commit()
      const second = await joined(of)
      second.seal()
      expect(await second.claim(of.mark)).toMatchObject({ answer: 'no' })
      await second.end('abort', undefined)
      expect(await of.database.rows()).toBe(1)
    })

    test('votes yes, is listed, and survives its connection', async () => {
      const of = await open()
      const branch = await prepared(of)
      branch.cut()
      expect(await listed(of)).toHaveLength(1)
      expect(await of.database.rows()).toBe(0)
      expect(await of.participant.endPrepared(of.gid, 'commit')).toEqual({ answer: 'done' })
      expect([await of.database.rows(), await of.database.marks()]).toEqual([1, [of.id.txid]])
      // Its own connection knows nothing of that, and another one finds no branch: neither is an end.
      expect((await branch.end('commit', of.gid)).answer).not.toBe('done')
    })

    test('is ended as decided on its own connection', async () => {
      const of = await open()
      const committed = await prepared(of)
      expect(await committed.end('commit', of.gid)).toEqual({ answer: 'done' })
      expect(await of.database.rows()).toBe(1)
      const again = await open()
      const aborted = await prepared(again)
      expect(await aborted.end('abort', again.gid)).toEqual({ answer: 'done' })
      expect([await again.database.rows(), await again.database.marks()]).toEqual([0, []])
    })

    test('a vote after a statement that failed and was swallowed is a no (fault 110)', async () => {
      const of = await open()
      const branch = await joined(of)
      await of.database.failInside(branch)
      await branch.drain()
      branch.seal()
      expect(branch.fault()).toMatchObject({ code: 'ASSENT_SWALLOWED_ERROR', outcome: 'aborted' })
      expect(await branch.vote(of.mark, of.gid)).toMatchObject({ answer: 'no' })
      expect(await listed(of)).toEqual([])
      await branch.end('abort', of.gid)
    })

    test('a COMMIT after a statement that failed and was swallowed is a no', async () => {
      const of = await open()
      const branch = await joined(of)
      await of.database.failInside(branch)
      branch.seal()
      expect(await branch.commit()).toMatchObject({ answer: 'no' })
      expect(await of.database.rows()).toBe(0)
    })

    test('a transaction that was ended behind its back is noticed, and never marked', async () => {
      for (const message of ['claim', 'vote'] as const) {
        const of = await open()
        const branch = await joined(of)
        await of.database.escape(branch)
        await branch.drain()
        branch.seal()
        if (system.noticesEscape === 'at once') {
          const code = 'ASSENT_TRANSACTION_CONTROL'
          expect(branch.fault()).toMatchObject({ code, outcome: 'unknown' })
        }
        const answer =
          message === 'claim' ? await branch.claim(of.mark) : await branch.vote(of.mark, of.gid)
        expect(answer.answer).not.toBe('yes')
        await branch.end('abort', of.gid)
        expect([await listed(of), await of.database.marks()]).toEqual([[], []])
      }
    })

    test('whose connection is lost answers unknown, never no', async () => {
      for (const message of ['claim', 'vote', 'commit'] as const) {
        const of = await open()
        const branch = await joined(of)
        branch.seal()
        await of.database.kill(branch)
        const answer = await {
          claim: () => branch.claim(of.mark),
          vote: () => branch.vote(of.mark, of.gid),
          commit: () => branch.commit(),
        }[message]()
        expect(answer).toMatchObject({ answer: 'unknown' })
        await branch.end('abort', message === 'vote' ? of.gid : undefined)
        await expect.poll(() => of.database.rows()).toBe(0)
      }
    })

    test('that is cut while it waits answers unknown at once', async () => {
      const of = await open()
      const holder = await joined(of)
      holder.seal()
      await holder.claim(of.mark)
      const waiting = await joined(of)
      waiting.seal()
      const answer = waiting.vote(of.mark, of.gid)
      waiting.cut()
      expect(await answer).toMatchObject({ answer: 'unknown' })
      await waiting.end('abort', of.gid)
      await holder.end('abort', undefined)
    })

    test('that was given up is not touched by a late cut', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      await branch.end('abort', undefined)
      const next = await joined(of)
      branch.cut()
      branch.leave()
      next.seal()
      expect(await next.commit()).toEqual({ answer: 'yes' })
      expect(await of.database.rows()).toBe(1)
    })

    test('tells of each use that comes too late', async () => {
      const of = await open()
      const branch = await joined(of)
      let late = 0
      expect(branch.isQuiet()).toBe(true)
      branch.seal(() => (late += 1))
      await of.database.write(branch).catch(() => undefined)
      expect(late).toBe(1)
      await branch.end('abort', undefined)
    })

    test('refuses its handle once it is sealed', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      await expect(of.database.write(branch)).rejects.toMatchObject({ code: 'ASSENT_BRANCH_ENDED' })
      await branch.end('abort', undefined)
    })

    test('a declared reader commits, and can’t write', async () => {
      const of = await open()
      const reader = await joined(of, { access: 'read' })
      await expect(of.database.write(reader)).rejects.toThrow(/read[- ]only/i)
      await reader.end('abort', undefined)
      const other = await joined(of, { access: 'read' })
      other.seal()
      expect(await other.commit()).toEqual({ answer: 'yes' })
    })
  })

  describe(`${system.name}: ending a prepared branch`, () => {
    test('a second time answers missing, not done (fault 40)', async () => {
      const of = await open()
      const branch = await prepared(of)
      await branch.end('commit', of.gid)
      expect(await of.participant.endPrepared(of.gid, 'commit')).toEqual({ answer: 'missing' })
      expect(await of.participant.endPrepared(of.gid, 'abort')).toEqual({ answer: 'missing' })
      expect(await of.database.rows()).toBe(1)
    })
  })

  describeRegister(system.name, { open, joined, prepared })
  describeByHand(system.name, open, joined)
}
