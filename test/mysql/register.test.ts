/**
 * What a register on MariaDB writes in order to be believed: InnoDB shows a commit before its log is
 * flushed, so whoever has only looked knows nothing. A write of its own, whose COMMIT is answered, comes
 * behind what was seen.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Participant } from '../../src/ports/index.ts'
import { makeTxid } from '../../src/transaction/txid.ts'
import { freshApp, openParticipant, openStore } from '../support/pairs.ts'

interface Scene {
  readonly participant: Participant
  readonly app: string
  /** How often the register has written for the sake of a reading. */
  readonly readings: () => Promise<number>
}

async function open(): Promise<Scene> {
  const app = freshApp()
  const store = await openStore('mariadb by mysql2', app)
  const participant = openParticipant(app, 'orders', store)
  onTestFinished(() => participant.close())
  await participant.readyToMark()
  return {
    participant,
    app,
    readings: async () => Number((await store.sql('select readings from server'))[0]?.['readings']),
  }
}

describe('each of these writes, though it finds nothing', () => {
  test('asking for a mark that is absent: a server may have rolled back what comes back prepared', async () => {
    const { participant, app, readings } = await open()
    const epoch = await participant.currentEpoch()
    const before = await readings()
    const question = { txid: makeTxid(nodeWorld), app, register: 'orders', epoch }
    expect(await participant.ask(question)).toEqual({ answer: 'absent', memory: 'remembered' })
    expect(await readings()).toBe(before + 1)
  })

  test('reading receipts, and pages of marks', async () => {
    const { participant, readings } = await open()
    const { memory } = participant
    const before = await readings()
    expect(await memory.present([makeTxid(nodeWorld)])).toEqual(new Set())
    expect(await memory.decisions(0, undefined)).toEqual({ marks: [], next: undefined })
    expect(await memory.receipts(0, undefined)).toEqual({ marks: [], next: undefined })
    expect(await readings()).toBe(before + 3)
  })

  test('deleting: what somebody else has deleted may only be seen', async () => {
    const { participant, readings } = await open()
    const before = await readings()
    await participant.memory.forgetReceipts('stock', [makeTxid(nodeWorld)])
    await participant.memory.forgetDecisions([makeTxid(nodeWorld)])
    expect(await readings()).toBe(before + 2)
  })
})
