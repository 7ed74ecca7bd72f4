/**
 * What every system must keep as a register: asking a mark, and the epochs that it remembers.
 */
import { describe, expect, test } from 'vitest'
import type { Branch } from '../../src/ports/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { makeTxid } from '../../src/transaction/txid.ts'
import type { Scene } from './system-contract.ts'

export interface Ways {
  readonly open: () => Promise<Scene>
  readonly joined: (of: Scene) => Promise<Branch>
  readonly prepared: (of: Scene) => Promise<Branch>
}

export function describeRegister(name: string, { open, joined, prepared }: Ways): void {
  describe(`${name}: asking a mark`, () => {
    test('that nobody wrote finds nothing, remembers the epoch, and leaves nothing', async () => {
      const of = await open()
      const absent = { answer: 'absent', memory: 'remembered' }
      expect(await of.participant.ask(of.question)).toEqual(absent)
      expect(await of.participant.ask(of.question)).toEqual(absent)
      expect(await of.database.marks()).toEqual([])
    })

    test('of an epoch that is not listed finds nothing, and says that it forgot', async () => {
      const of = await open()
      await of.database.unlist(of.id.epoch)
      const forgotten = { answer: 'absent', memory: 'forgotten' }
      expect(await of.participant.ask(of.question)).toEqual(forgotten)
    })

    test('of another server’s epoch finds nothing, and says that it forgot', async () => {
      const of = await open()
      await of.database.moveEpoch(of.id.epoch)
      const forgotten = { answer: 'absent', memory: 'forgotten' }
      expect(await of.participant.ask(of.question)).toEqual(forgotten)
    })

    test('waits while its transaction is open, and while it is prepared', async () => {
      const of = await open()
      const claimed = await joined(of)
      claimed.seal()
      await claimed.claim(of.mark)
      expect(await of.participant.ask(of.question)).toEqual({ answer: 'waits' })
      await claimed.end('abort', undefined)
      const voted = await prepared(of)
      expect(await of.participant.ask(of.question)).toEqual({ answer: 'waits' })
      await voted.end('abort', of.gid)
    })

    test('that was committed finds it, even when its epoch is forgotten', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      await branch.claim(of.mark)
      await branch.commit()
      const found = { answer: 'found', decision: 'commit' }
      expect(await of.participant.ask(of.question)).toEqual(found)
      await of.database.unlist(of.id.epoch)
      expect(await of.participant.ask(of.question)).toEqual(found)
    })

    test('that was rolled back finds nothing', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      await branch.claim(of.mark)
      await branch.end('abort', undefined)
      expect(await of.participant.ask(of.question)).toEqual({
        answer: 'absent',
        memory: 'remembered',
      })
    })

    test('by many at once gives all of them the same answer', async () => {
      const of = await open()
      const branch = await joined(of)
      branch.seal()
      await branch.claim(of.mark)
      await branch.commit()
      const answers = await Promise.all(
        Array.from({ length: 12 }, () => of.participant.ask(of.question)),
      )
      const found = answers.filter((answer) => answer.answer === 'found')
      expect(found.length).toBeGreaterThan(0)
      for (const answer of answers) {
        expect(['found', 'waits', 'unknown']).toContain(answer.answer)
      }
    })

    test('without a register looks, and never inserts', async () => {
      const of = await open()
      expect(await of.participant.lookUp(of.id.txid)).toBe('not-found')
      const branch = await joined(of)
      branch.seal()
      await branch.claim(of.mark)
      expect(await of.participant.lookUp(of.id.txid)).toBe('not-found')
      await branch.commit()
      expect(await of.participant.lookUp(of.id.txid)).toBe('committed')
      expect(await of.participant.lookUp(makeTxid(nodeWorld))).toBe('not-found')
      expect(await of.database.marks()).toEqual([of.id.txid])
    })
  })

  describe(`${name}: epochs`, () => {
    test('stay the same while nothing happens to the server', async () => {
      const of = await open()
      of.participant.forgetEpoch()
      expect(await of.participant.currentEpoch()).toBe(of.id.epoch)
    })
  })
}
