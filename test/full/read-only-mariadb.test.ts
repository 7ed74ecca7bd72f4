/**
 * A server that is read_only for a while, as a replica is until it is promoted: what it says then, and
 * that nobody remembers it afterwards. Its global defaults are unusual ones.
 */
import { expect, onTestFinished, test } from 'vitest'
import { mysql2 } from 'assent/mysql2'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Participant } from '../../src/ports/index.ts'
import { makeTxid } from '../../src/transaction/txid.ts'
import { ownMariadb, ownMariadbDatabase } from '../support/mariadb-databases.ts'
import type { MariadbDatabase } from '../support/mariadb-databases.ts'
import { freshApp, openParticipant } from '../support/pairs.ts'

const UNUSUAL = { completion_type: 'CHAIN', sql_mode: 'ANSI_QUOTES' }

interface Scene {
  readonly database: MariadbDatabase
  readonly app: string
  readonly participant: Participant
}

async function open(): Promise<Scene> {
  const database = await ownMariadbDatabase(await ownMariadb('read-only', UNUSUAL))
  const app = freshApp()
  const definition: unknown = mysql2(database.pool, { schema: database.name, failover: 'lossless' })
  const participant = openParticipant(app, 'orders', { definition } as never)
  onTestFinished(() => participant.close())
  return { database, app, participant }
}

test('absence is not told by a server that is read_only, though we may write there', async () => {
  const { database, app, participant } = await open()
  await participant.readyToMark()
  const epoch = await participant.currentEpoch()
  const question = { txid: makeTxid(nodeWorld), app, register: 'orders', epoch }
  const absent = { answer: 'absent', memory: 'remembered' }
  expect(await participant.ask(question)).toEqual(absent)
  await database.sql('set global read_only = 1')
  expect(await participant.ask(question)).toMatchObject({ answer: 'unknown' })
  const resolution = { ...question, branch: 'stock', decision: 'abort', basis: 'register' } as const
  const signed = { ...resolution, decidedBy: 'ada', reason: 'lost' }
  expect(await participant.byHand.decide(signed)).toMatchObject({ answer: 'unknown' })
  await database.sql('set global read_only = 0')
  expect(await participant.ask(question)).toEqual(absent)
})

test('once it is promoted, it is used on the connections that knew it before', async () => {
  const { database, participant } = await open()
  await database.sql('set global read_only = 1')
  await expect(participant.readyToMark()).rejects.toMatchObject({ code: 'ASSENT_REPLICA' })
  expect(await participant.memory.hasMarks()).toBe(false)
  await database.sql('set global read_only = 0')
  await participant.readyToMark()
  expect(await participant.memory.hasMarks()).toBe(true)
  const { findings } = await participant.examine()
  expect(findings.filter(({ severity }) => severity === 'must change')).toEqual([])
})
