/**
 * When a server dies at any message of the commit path and comes back, its transaction ends the
 * same way in both databases, and the living process that ran it is told the truth.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CrashCluster } from '../crash/crash-cluster.ts'
import type { Fate } from '../crash/crash-points.ts'
import { participantOf } from '../crash/message-names.ts'
import { LivingOwner } from './server-kill.ts'
import type { ServerKill } from './server-kill.ts'

const messages = ['orders claim 1', 'stock vote 1', 'orders decide 1', 'stock apply 1']
const kills = messages.flatMap((message) =>
  (['orders', 'stock'] as const).flatMap((victim) =>
    (['sent, not processed', 'processed, not answered', 'answered'] as const)
      // Of another server's message, only what is done about it in the meantime makes a difference.
      .filter((stage) => stage !== 'processed, not answered' || participantOf(message) === victim)
      .map((stage): ServerKill => ({ victim, message, stage })),
  ),
)
const lines: string[] = []
let cluster: CrashCluster
let owner: LivingOwner

beforeAll(async () => {
  cluster = await CrashCluster.start(['orders', 'stock'])
  owner = await LivingOwner.start(cluster)
  await owner.warmUp()
})

afterAll(async () => {
  await owner.close()
  await cluster.remove()
  console.log(lines.join('\n'))
})

for (const kill of kills) {
  const { victim, message, stage } = kill
  const fate = fateAt(kill)
  test(`${fate}, and told so: ${victim} killed at ${message}, ${stage}`, async () => {
    const survived = await owner.surviveKill(kill, fate)
    const { answeredMs, settledMs } = survived
    const times = `answered ${answeredMs} ms, settled ${settledMs} ms after its return`
    lines.push(`${victim} killed at ${message}, ${stage}: ${fate}, ${times}`)
    expect(survived.disagreements).toEqual([])
    expect(survived.answer).toBe(fate)
  })
}

/** The decider's COMMIT must have been processed, and each vote answered, for it to commit. */
function fateAt({ victim, message, stage }: ServerKill): Fate {
  const deadly = victim === 'orders' ? 'orders decide 1' : 'stock vote 1'
  const at = messages.indexOf(message)
  if (at !== messages.indexOf(deadly)) {
    return at < messages.indexOf(deadly) ? 'aborted' : 'committed'
  }
  if (stage === 'answered') return 'committed'
  // An unclear vote is never a yes; an unclear COMMIT is found out.
  const isFoundOut = victim === 'orders' && stage === 'processed, not answered'
  return isFoundOut ? 'committed' : 'aborted'
}
