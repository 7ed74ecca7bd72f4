/**
 * What every system must keep for a person who looks and decides: the contract of `src/ports/by-hand.ts`.
 */
import { describe, expect, test } from 'vitest'
import type { Branch, Resolution } from '../../src/ports/index.ts'
import type { Scene } from './system-contract.ts'

export function describeByHand(
  name: string,
  open: () => Promise<Scene>,
  joined: (of: Scene) => Promise<Branch>,
): void {
  const resolution = (of: Scene, decision: 'commit' | 'abort'): Resolution => ({
    ...of.gid,
    decision,
    basis: 'register',
    decidedBy: 'ada',
    reason: `it's "lost" \\ ü`,
  })

  describe(`${name}: a decision by hand`, () => {
    test('is written once, with its record, where nobody remembers; and is obeyed', async () => {
      const of = await open()
      const { byHand } = of.participant
      await of.database.unlist(of.id.epoch)
      expect(await byHand.decide(resolution(of, 'commit'))).toEqual({ answer: 'written' })
      const found = { answer: 'found', decision: 'heuristic-commit' }
      expect(await byHand.decide(resolution(of, 'abort'))).toEqual(found)
      expect(await of.participant.ask(of.question)).toEqual(found)
      expect(await of.participant.lookUp(of.id.txid)).toBe('committed')
      expect(await byHand.mark(of.id.txid)).toMatchObject({
        app: of.id.app,
        register: of.id.register,
        epoch: of.id.epoch,
        decision: 'heuristic-commit',
      })
      expect(await byHand.resolutions()).toEqual([resolution(of, 'commit')])
    })

    test('is not written where the epoch is remembered', async () => {
      const of = await open()
      const { byHand } = of.participant
      const remembered = { answer: 'absent', memory: 'remembered' }
      expect(await byHand.decide(resolution(of, 'commit'))).toEqual(remembered)
      expect(await of.database.marks()).toEqual([])
      expect(await byHand.resolutions()).toEqual([])
    })

    test('waits for the owner, whose commit it then finds', async () => {
      const of = await open()
      const { byHand } = of.participant
      const branch = await joined(of)
      branch.seal()
      await branch.claim(of.mark)
      expect(await byHand.decide(resolution(of, 'abort'))).toEqual({ answer: 'waits' })
      expect(await branch.commit()).toEqual({ answer: 'yes' })
      await of.database.unlist(of.id.epoch)
      const found = { answer: 'found', decision: 'commit' }
      expect(await byHand.decide(resolution(of, 'abort'))).toEqual(found)
      expect(await byHand.resolutions()).toEqual([])
    })

    test('that is an abort keeps a claim that comes later from committing, and is no commit', async () => {
      const of = await open()
      const { byHand, memory } = of.participant
      const branch = await joined(of)
      branch.seal()
      await of.database.unlist(of.id.epoch)
      expect(await byHand.decide(resolution(of, 'abort'))).toEqual({ answer: 'written' })
      expect(await branch.claim(of.mark)).toMatchObject({ answer: 'no' })
      await branch.end('abort', undefined)
      expect(await memory.present([of.id.txid])).toEqual(new Set())
      expect(await of.participant.lookUp(of.id.txid)).toBe('not-found')
      expect(await of.database.rows()).toBe(0)
    })
  })

  test(`${name}: an examination finds nothing to change, and measures`, async () => {
    const of = await open()
    const { findings, roundTripMs, forcedWriteMs } = await of.participant.examine()
    expect(findings.filter(({ severity }) => severity === 'must change')).toEqual([])
    expect(findings.some(({ severity }) => severity === 'ok')).toBe(true)
    expect([roundTripMs > 0, (forcedWriteMs ?? 0) > 0]).toEqual([true, true])
  })
}
