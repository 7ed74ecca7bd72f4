/**
 * What the interpreter makes of a machine's messages, with branches that answer as a test likes.
 */
import { expect, test } from 'vitest'
import { commitTwoPhase } from '../../src/engine/commit.ts'
import { Meters } from '../../src/engine/meters.ts'
import { Over } from '../../src/engine/over.ts'
import { Recovery } from '../../src/engine/recover.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Branch, Participant, World } from '../../src/ports/index.ts'
import type { Answer, EndAnswer } from '../../src/protocol/index.ts'

interface Answers {
  readonly vote?: (name: string) => Promise<Answer>
  readonly end?: (name: string) => Promise<EndAnswer>
}

const YES: Answer = { answer: 'yes' }

/** A clock that stands still: what is set for later is rung by hand. */
class StillWorld {
  readonly timers: { readonly ms: number; readonly ring: () => void }[] = []
  readonly world: World = {
    ...nodeWorld,
    now: () => 0,
    timer: (ms, ring) => {
      this.timers.push({ ms, ring })
      return () => undefined
    },
  }
}

function committing(
  answers: Answers,
  handOver: Recovery['handOver'],
  { over = new Over(), world = nodeWorld, timeoutMs = 30_000 } = {},
) {
  const recovery = new Recovery({} as never)
  recovery.handOver = handOver
  const said: string[] = []
  const branch = (name: string): Branch => ({
    name,
    canPrepare: true,
    mayCommitAlone: true,
    claimed: undefined,
    drain: () => Promise.resolve(),
    isQuiet: () => true,
    seal: () => undefined,
    fault: () => undefined,
    claim: () => Promise.resolve(YES),
    vote: () => {
      said.push(`${name} vote`)
      return answers.vote?.(name) ?? Promise.resolve(YES)
    },
    commit: () => {
      said.push(`${name} commit`)
      return Promise.resolve(YES)
    },
    end: (decision) => {
      said.push(`${name} ${decision}`)
      return answers.end?.(name) ?? Promise.resolve({ answer: 'done' })
    },
    leave: () => undefined,
    cut: () => {
      said.push(`${name} cut`)
    },
  })
  const names = ['orders', 'stock', 'ledger']
  const finished = Promise.withResolvers<undefined>()
  const running = commitTwoPhase(
    { protocol: 'two-phase', decider: 'orders', voters: ['stock', 'ledger'], readers: [] },
    { app: 'shop', register: 'orders', epoch: 'AAAAAAAA', txid: 'A'.repeat(20) },
    'applied',
    {
      branches: names.map(branch),
      participant: (name) => ({ name }) as Participant,
      recovery,
      world,
      over,
      timeoutMs,
      meters: new Meters(names),
      tracer: undefined,
      onFinished: () => {
        finished.resolve(undefined)
      },
    },
  )
  return { running, said, finished: finished.promise }
}

test('after a bug nothing more is sent, whatever happens', async () => {
  const { running, said, finished } = committing(
    {
      vote: (name) =>
        name === 'stock' ? Promise.reject(new Error('a bug')) : Promise.resolve(YES),
    },
    () => Promise.resolve('left'),
  )
  await expect(running.told).rejects.toMatchObject({ code: 'ASSENT_INVARIANT', outcome: 'unknown' })
  await finished
  running.object('ledger', new Error('a late use'))
  await new Promise((resolve) => setImmediate(resolve))
  expect(said).toEqual(['stock vote', 'ledger vote'])
})

test('what recovery leaves to others is not waited for: the caller is told', async () => {
  const { running, finished } = committing(
    { end: () => Promise.resolve({ answer: 'unknown', cause: 'no answer' }) },
    () => Promise.resolve('left'),
  )
  expect(await running.told).toMatchObject({ told: 'committed', ends: { stock: 'left' } })
  await finished
})

test('nobody waits for recovery any more once the caller was told', async () => {
  const asked = Promise.withResolvers<() => boolean>()
  const { running } = committing(
    {
      vote: () => Promise.resolve({ answer: 'unknown', cause: 'no answer' }),
      end: () => Promise.resolve({ answer: 'unknown', cause: 'no answer' }),
    },
    (_participant, _gid, _known, isWaitedFor) => {
      asked.resolve(isWaitedFor ?? (() => true))
      return Promise.resolve('left')
    },
  )
  const isWaitedFor = await asked.promise
  expect(await running.told).toMatchObject({ told: 'aborted' })
  expect(isWaitedFor()).toBe(false)
})

const NEVER = { vote: () => new Promise<Answer>(() => undefined) }

test('while the caller waits, his own time is the bound on an answer', () => {
  const { world, timers } = new StillWorld()
  committing(NEVER, () => Promise.resolve('left'), { world })
  expect(timers).toEqual([])
})

test('an answer that does not come is cut once the caller was told', async () => {
  const { world, timers } = new StillWorld()
  const over = new Over()
  const end = (): Promise<EndAnswer> => new Promise(() => undefined)
  const { running, said } = committing({ end }, () => Promise.resolve('left'), { over, world })
  await expect.poll(() => said).toContain('stock commit')
  over.end(new Error('time is up'))
  expect(await running.told).toMatchObject({ told: 'committed' })
  expect(timers.map(({ ms }) => ms)).toEqual([30_000])
  world.now = () => 30_000
  timers[0]?.ring()
  expect(said.slice(-2)).toEqual(['stock cut', 'ledger cut'])
})

test('of a caller who waits for longer, each answer is bounded from the start', async () => {
  const { world, timers } = new StillWorld()
  const left = (): Promise<'left'> => Promise.resolve('left')
  const { said } = committing(NEVER, left, { world, timeoutMs: 30_001 })
  await expect.poll(() => said).toEqual(['stock vote', 'ledger vote'])
  world.now = () => 30_000
  timers[0]?.ring()
  expect(said.slice(-2)).toEqual(['stock cut', 'ledger cut'])
})
