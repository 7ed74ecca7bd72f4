/**
 * Ending a prepared branch from another connection than the one that prepared it: when, and what of the
 * server's answer is believed. On a server in memory, since the moments are short.
 */
import { describe, expect, test } from 'vitest'
import { formatGid, formatTransactionId } from '../../src/protocol/index.ts'
import type { AskAnswer, Gid } from '../../src/protocol/index.ts'
import { PreparedBranches, listXids } from '../../src/systems/mysql/prepared.ts'
import { Owners } from '../../src/systems/mysql/owners.ts'
import { schemaNames } from '../../src/systems/mysql/schema.ts'
import { ScriptedMariadb, START } from '../support/scripted-mariadb.ts'

const NUMBER = 42
const GID: Gid = {
  app: 'shop',
  register: 'orders',
  epoch: 'YU44scfP',
  txid: 'GaBsznZVL2UdcQsaAYjh',
  branch: 'stock',
}

/** A server on which connection 42 has prepared a branch. */
function serverWith(start = START): ScriptedMariadb {
  const server = new ScriptedMariadb()
  const gtrid = formatTransactionId(GID)
  const bqual = `${GID.branch}.${NUMBER.toString(36)}.${start.toString(36)}`
  server.prepared = [['16723', String(gtrid.length), gtrid + bqual]]
  return server
}

describe('a branch is free', () => {
  async function isFree(server: ScriptedMariadb, owners = new Owners(server.world)) {
    const [xid] = await listXids(server.connection)
    return owners.free(server.connection, xid!)
  }

  test('when its connection is gone in two looks that are 100 ms apart', async () => {
    const server = serverWith()
    let rests = 0
    server.onRest = () => (rests += 1)
    expect(await isFree(server)).toBe('free')
    expect(rests).toBe(1)
  })

  test('at once, where an earlier scan has found it gone', async () => {
    const server = serverWith()
    const owners = new Owners(server.world)
    let rests = 0
    server.onRest = () => (rests += 1)
    await owners.look(server.connection, await listXids(server.connection))
    server.passTime(99)
    expect(await isFree(server, owners)).toBe('free')
    expect(rests).toBe(1)
    server.passTime(1)
    expect(await isFree(server, owners)).toBe('free')
    expect(rests).toBe(1)
  })

  test('not in the moment in which its connection goes: OK would be said, and nothing done', async () => {
    const server = serverWith()
    server.sessions.set(NUMBER, { user: 'ours', state: 'busy' })
    server.onRest = () => server.sessions.delete(NUMBER)
    expect(await isFree(server)).toBe('owned')
    expect(server.done).toEqual([])
  })

  test('not while another user’s connection has it, which is not shown', async () => {
    const server = serverWith()
    server.sessions.set(NUMBER, { user: 'another', state: 'idle' })
    const owners = new Owners(server.world)
    await owners.look(server.connection, await listXids(server.connection))
    server.passTime(1_000)
    expect(await isFree(server, owners)).toBe('owned')
    expect(server.done).toEqual([])
  })

  test('at once, if the server was started anew since: then nobody owns it', async () => {
    const server = serverWith(START - 1)
    server.sessions.set(NUMBER, { user: 'ours', state: 'busy' })
    server.onRest = () => expect.unreachable()
    expect(await isFree(server)).toBe('free')
  })

  test('once its connection was ended, which is done only while it is idle in both looks', async () => {
    for (const [first, then, isEnded] of [
      ['idle', 'idle', true],
      ['busy', 'idle', false],
      ['idle', 'busy', false],
      ['busy', 'busy', false],
    ] as const) {
      const server = serverWith()
      server.sessions.set(NUMBER, { user: 'ours', state: first })
      server.onRest = () => server.sessions.set(NUMBER, { user: 'ours', state: then })
      expect(await isFree(server)).toBe('owned')
      expect(server.done).toEqual(isEnded ? [`KILL CONNECTION ${NUMBER}`] : [])
    }
  })
})

describe('the server says OK to an end', () => {
  function branchesOf(server: ScriptedMariadb, receipt: () => AskAnswer): PreparedBranches {
    return new PreparedBranches({
      app: GID.app,
      world: server.world,
      scanning: server.connections,
      asking: server.connections,
      askReceipt: () => Promise.resolve(receipt()),
      names: schemaNames('assent'),
      present: () => Promise.resolve("'here'"),
    })
  }

  async function ended(decision: 'commit' | 'abort', receipt: AskAnswer, server = serverWith()) {
    const branches = branchesOf(server, () => receipt)
    return { answer: await branches.end(GID, decision), done: server.done }
  }

  const FOUND: AskAnswer = { answer: 'found', decision: 'commit' }
  const ABSENT: AskAnswer = { answer: 'absent', memory: 'remembered' }

  test('it is done if the receipt is there after a commit, and gone after an abort', async () => {
    expect((await ended('commit', FOUND)).answer).toEqual({ answer: 'done' })
    expect((await ended('abort', ABSENT)).answer).toEqual({ answer: 'done' })
  })

  test('a commit whose receipt is nowhere is missing: somebody else has rolled it back', async () => {
    expect((await ended('commit', ABSENT)).answer).toEqual({ answer: 'missing' })
  })

  test('while its locks are still held it was not ended, and the error says what helps', async () => {
    const { answer } = await ended('commit', { answer: 'waits' })
    expect(answer).toMatchObject({ answer: 'unknown', cause: { code: 'ASSENT_UNCLEAR' } })
    expect(String((answer as { cause?: unknown }).cause)).toMatch(/restart that server/)
  })

  test('one that is stuck so stays in sight, though the server lists it no more', async () => {
    const server = serverWith()
    let receipt: AskAnswer = { answer: 'waits' }
    const branches = branchesOf(server, () => receipt)
    const gids = async () => (await branches.list()).branches.map(({ gid }) => gid)
    expect(await branches.end(GID, 'commit')).toMatchObject({ answer: 'unknown' })
    expect(server.prepared).toEqual([])
    expect(await gids()).toEqual([formatGid(GID)])
    expect(await branches.end(GID, 'commit')).toMatchObject({ answer: 'unknown' })
    receipt = FOUND
    expect(await branches.end(GID, 'commit')).toEqual({ answer: 'done' })
    expect(await gids()).toEqual([])
  })

  test('a receipt that can’t be asked leaves it unknown', async () => {
    const unknown: AskAnswer = { answer: 'unknown', cause: new Error('down') }
    expect((await ended('commit', unknown)).answer).toMatchObject({ answer: 'unknown' })
  })

  test('on a server that is read_only nothing is ended: its primary does that', async () => {
    const server = serverWith()
    server.readOnly = '1'
    const { answer, done } = await ended('commit', FOUND, server)
    expect(answer).toMatchObject({ answer: 'unknown' })
    expect(done).toEqual([])
  })
})
