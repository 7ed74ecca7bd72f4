import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { ContenderName } from '../../bench/contenders.ts'
import { Lanes } from '../../bench/lanes.ts'
import { openLink } from '../../bench/link.ts'
import { measure, warmUp } from '../../bench/rounds.ts'
import type { Umpire } from '../../bench/rounds.ts'
import { Stage } from '../../bench/stage.ts'
import { Ledger } from '../../bench/workload.ts'
import { rejection } from '../support/assent.ts'

let stage: Stage
let umpire: Umpire

beforeAll(async () => {
  stage = await Stage.open(new Map())
  const ledger = new Ledger(stage)
  umpire = { ledger, servers: stage.servers, signal: new AbortController().signal }
})

afterAll(async () => {
  await stage.close()
})

function lanesOf(...names: readonly ContenderName[]): Lanes {
  const lanes = new Lanes(names)
  onTestFinished(() => lanes.end())
  return lanes
}

async function sessionsOf({ control }: Stage): Promise<number> {
  const { rows } = await control.orders.query<{ n: number }>(
    'select sessions::int as n from pg_stat_database where datname = current_database()',
  )
  return rows[0]?.n ?? NaN
}

test('the warm-up runs sixteen at once, and is held to what was answered', async () => {
  const before = await sessionsOf(stage)
  await warmUp({ rounds: 2, turnMs: 50 }, lanesOf('bare-driver'), stage, umpire)
  await expect.poll(() => sessionsOf(stage)).toBeGreaterThanOrEqual(before + 16)
  await umpire.ledger.verify('the warm-up')
})

test('the first round of a setting is not among its results', async () => {
  const link = await openLink(stage.urls, 0)
  const setting = { addedMs: 0, atOnce: 2, rounds: 2, turnMs: 50 }
  const { results } = await measure(setting, lanesOf('bare-driver', 'by-hand'), link, umpire)
  expect(results).toHaveLength(2)
  for (const round of results) expect(Object.keys(round).sort()).toEqual(['bare-driver', 'by-hand'])
})

test('an interrupted bench stops in its warm-up', async () => {
  const interrupted = { ...umpire, signal: AbortSignal.abort(new Error('interrupted')) }
  const lanes = lanesOf('bare-driver')
  const warming = warmUp({ rounds: 1, turnMs: 60_000 }, lanes, stage, interrupted)
  expect(await rejection(warming)).toMatchObject({ message: 'interrupted' })
})

test('a contender that fails ends the bench with an error, and its process has ended', async () => {
  const lanes = lanesOf('bare-driver')
  const nowhere = { orders: 'postgres://127.0.0.1:1/none', stock: 'postgres://127.0.0.1:1/none' }
  const racing = lanes.on(nowhere, () => lanes.race('bare-driver', 1, 50))
  expect(await rejection(racing)).toMatchObject({
    message: expect.stringContaining('ended too early') as string,
  })
})
