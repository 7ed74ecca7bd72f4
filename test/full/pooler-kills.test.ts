/**
 * When the pooler before a database dies at any message of a transaction and comes back, or is
 * restarted, the transaction ends the same way in both databases, and its caller is told the truth.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Pgbouncer } from '../../harness/pgbouncer.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import type { Fate } from '../crash/crash-points.ts'
import { kindOf, participantOf } from '../crash/message-names.ts'
import { goldenOfTwo } from '../crash/two-databases.ts'
import { LivingOwner } from './server-kill.ts'
import type { ServerKill, Victim } from './server-kill.ts'

// Statements travel with BEGIN, and behind a pooler what is prepared is ended from a direct connection.
const messages = goldenOfTwo.messages.filter(
  (message) => !['work', 'apply'].includes(kindOf(message)),
)
const kills = messages.flatMap((message) =>
  (['orders', 'stock'] as const).flatMap((victim) =>
    (['sent, not processed', 'processed, not answered', 'answered'] as const)
      // Of another pooler's message, only what is done about it in the meantime makes a difference.
      .filter((stage) => stage !== 'processed, not answered' || participantOf(message) === victim)
      .map((stage): ServerKill => ({ victim, message, stage })),
  ),
)
const lines: string[] = []
let cluster: CrashCluster
let poolers: ReadonlyMap<string, Pgbouncer>

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
  poolers = new Map(
    await Promise.all(
      cluster.databases.map(
        async ({ name, server }) =>
          [name, await Pgbouncer.start({ name, server: server.url() })] as const,
      ),
    ),
  )
})

afterAll(async () => {
  await Promise.all([...poolers.values()].map((pooler) => pooler.remove()))
  await cluster.remove()
  console.log(lines.join('\n'))
})

const ways = {
  killed: async (pooler: Pgbouncer) => {
    await pooler.kill()
    await pooler.start()
  },
  restarted: (pooler: Pgbouncer) => pooler.restart(),
}

describe.each(['killed', 'restarted'] as const)('fault 103: a pooler is %s', (way) => {
  let owner: LivingOwner

  beforeAll(async () => {
    // Back at once: what was sent meets no pooler that is still down.
    const victims = [...poolers].map(
      ([name, pooler]) =>
        [
          name,
          { port: pooler.port, kill: () => ways[way](pooler), start: () => Promise.resolve() },
        ] as const,
    )
    owner = await LivingOwner.start(cluster, new Map<string, Victim>(victims))
    await owner.warmUp()
  })

  afterAll(() => owner.close())

  for (const kill of kills) {
    const { victim, message, stage } = kill
    const fate = fateAt(kill)
    test(`${fate === 'as told' ? fate : `${fate}, and told so`}: that of ${victim} at ${message}, ${stage}`, async () => {
      const survived = await owner.surviveKill(kill, fate)
      const { answeredMs, settledMs } = survived
      const times = `answered ${answeredMs} ms, settled ${settledMs} ms after it`
      lines.push(`${victim} ${way} at ${message}, ${stage}: ${fate}, ${times}`)
      expect(survived.disagreements).toEqual([])
      if (fate !== 'as told') expect(survived.answer).toBe(fate)
    })
  }
})

test('every message that passes a pooler was met', () => {
  expect(messages.map(kindOf)).toEqual(['begin', 'begin', 'claim', 'vote', 'decide'])
})

/**
 * From BEGIN to COMMIT (of the decider) or PREPARE, a branch lives in one session, which ends with
 * its pooler. A BEGIN without an answer is repeated on another connection; whether that one comes
 * too early, while the pooler is still down, is a matter of microseconds where nothing holds it up.
 */
function fateAt({ victim, message, stage }: ServerKill): Fate | 'as told' {
  const at = messages.indexOf(message)
  const begin = messages.indexOf(`${victim} begin 1`)
  const last = messages.indexOf(victim === 'orders' ? 'orders decide 1' : 'stock vote 1')
  if (at < begin || at > last) return 'committed'
  if (at === begin && stage === 'sent, not processed') return 'as told'
  if (at === begin) return stage === 'answered' ? 'aborted' : 'committed'
  if (at < last) return 'aborted'
  if (stage === 'answered') return 'committed'
  // An unclear vote is never a yes; an unclear COMMIT is found out.
  return victim === 'orders' && stage === 'processed, not answered' ? 'committed' : 'aborted'
}
