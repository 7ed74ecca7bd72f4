/**
 * When the pooler before a database dies at any message of a transaction and comes back, or is
 * restarted, the transaction ends the same way in both databases, and its caller is told the truth.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Pgbouncer } from '../../harness/pgbouncer.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import { kindOf } from '../crash/message-names.ts'
import { goldenOfClaimLast } from '../crash/two-databases.ts'
import { LivingOwner } from './server-kill.ts'
import type { Victim } from './server-kill.ts'
import { fateOf, killsOf } from './server-kill-points.ts'
import type { Cast } from './server-kill-points.ts'

const cast: Cast = {
  golden: goldenOfClaimLast,
  decider: 'used first',
  writes: ['orders', 'stock'],
  reads: [],
  messages: 'all',
}
// Behind a pooler, what is prepared is ended from a direct connection.
const kills = killsOf(cast, ['sent, not processed', 'answered']).filter(
  ({ message }) => kindOf(message) !== 'apply',
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
    // Back before anything goes on: what is sent then meets a pooler that knows of nothing.
    const victims = [...poolers].map(([name, pooler]): readonly [string, Victim] => [
      name,
      { port: pooler.port, kill: () => ways[way](pooler), start: () => Promise.resolve() },
    ])
    owner = await LivingOwner.start(cluster, cast, new Map(victims))
    await owner.warmUp()
  })

  afterAll(() => owner.close())

  for (const kill of kills) {
    const { victim, message, stage } = kill
    const fate = fateOf(kill, cast)
    test(`${fate}, and told so: that of ${victim} at ${message}, ${stage}`, async () => {
      const survived = await owner.surviveKill(kill, fate, 'at once')
      const { answeredMs, settledMs } = survived
      const times = `answered ${answeredMs} ms, settled ${settledMs} ms after it`
      lines.push(`${victim} ${way} at ${message}, ${stage}: ${survived.fate}, ${times}`)
      expect(survived.disagreements).toEqual([])
      expect(survived.answer).toBe(survived.fate)
    })
  }
})

test('every message that passes a pooler was met', () => {
  const met = new Set(kills.map(({ message }) => kindOf(message)))
  expect([...met]).toEqual(['begin', 'claim', 'vote', 'decide'])
})
