/**
 * Owns: the tests that kill a server at every message of a transaction, and the proof that none was
 * left out.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CrashCluster } from '../crash/crash-cluster.ts'
import type { DatabaseSpec } from '../crash/crash-database.ts'
import { participantOf } from '../crash/message-names.ts'
import { fateOf, isWork, killsOf, messagesOf, serverFaultOf } from './server-kill-points.ts'
import type { Cast, ServerKill, ServerStage } from './server-kill-points.ts'
import { LivingOwner } from './server-kill.ts'
import type { Restart } from './server-kill.ts'

export interface ServerKillSuite {
  readonly databases: readonly DatabaseSpec[]
  readonly casts: readonly Cast[]
  /** At which stages of the other servers' messages the victim is killed. */
  readonly stagesOfOthers: readonly ServerStage[]
  readonly restart: Restart
}

export function killServersEverywhere(suite: ServerKillSuite): void {
  const { databases, casts, stagesOfOthers, restart } = suite
  let cluster: CrashCluster

  beforeAll(async () => {
    cluster = await CrashCluster.start(databases)
  })

  afterAll(async () => {
    await cluster.remove()
  })

  describe.each(casts.map((cast) => [titleOf(cast), cast] as const))('%s', (_title, cast) => {
    const faults = Map.groupBy(killsOf(cast, stagesOfOthers), (kill) => serverFaultOf(kill, cast))
    const killed = new Set<string>()
    const times: number[] = []
    let owner: LivingOwner

    beforeAll(async () => {
      owner = await LivingOwner.start(cluster, cast)
      await owner.warmUp()
    })

    afterAll(async () => {
      await owner.close()
      console.log(
        `${titleOf(cast)}, started ${restart}: ${times.length} kills, nothing left ` +
          `${Math.max(...times)} ms after the server's return at most`,
      )
    })

    describe.each([...faults])('%s', (_fault, kills: readonly ServerKill[]) => {
      for (const kill of kills) {
        const fate = fateOf(kill, cast)
        test(`${fate}, and told so: ${nameOf(kill)}, started ${restart}`, async () => {
          const survived = await owner.surviveKill(kill, fate, restart)
          expect(survived.disagreements).toEqual([])
          expect(survived.answer).toBe(survived.fate)
          killed.add(nameOf(kill))
          times.push(survived.settledMs)
        })
      }
    })

    test('every database was killed at every message of its own', () => {
      const messages = messagesOf(cast).filter(
        (message) => cast.messages === 'all' || !isWork(message),
      )
      for (const message of messages) {
        expect(killed).toContain(`${participantOf(message)} killed at ${message}, answered`)
      }
      expect(killed.size).toBe(killsOf(cast, stagesOfOthers).length)
    })
  })
}

function titleOf({ writes, reads }: Cast): string {
  const [decider, ...voters] = writes
  const read = reads.length === 0 ? '' : `, ${reads.join()} is read`
  return `${decider} decides, ${voters.join(' and ')} vote${voters.length === 1 ? 's' : ''}${read}`
}

function nameOf({ victim, message, stage }: ServerKill): string {
  return `${victim} killed at ${message}, ${stage}`
}
