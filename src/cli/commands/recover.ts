/**
 * `assent recover` and `assent drain`: passes of recovery, and what stays.
 */
import { isNotOurs } from '../../engine/index.ts'
import type { Recovered } from '../../engine/index.ts'
import { worst } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import { readDuration } from '../read-duration.ts'
import {
  inSession,
  reachedOf,
  sayContradicted,
  sayContradictions,
  sayUnreachable,
} from '../session.ts'
import type { CommonFlags, Session } from '../session.ts'
import { errorJson, tableOf } from '../words.ts'
import { isContradicted, standingJson, standingText } from './list.ts'

export function recover(flags: CommonFlags): Promise<ExitName> {
  return inSession(flags, async (session) => {
    const recovered = await session.operator.recover()
    return tell(session, recovered, {})
  })
}

export interface DrainFlags extends CommonFlags {
  readonly timeout: string
}

export async function drain(flags: DrainFlags): Promise<ExitName> {
  const timeoutMs = readDuration('--timeout', flags.timeout)
  return inSession(flags, async (session) => {
    const drained = await session.operator.drain(timeoutMs)
    const isDrained = drained.drained !== 'time is over'
    const code = await tell(session, drained, { drained: isDrained })
    if (!isDrained) session.say.warn(`not drained within ${flags.timeout}`)
    return isDrained ? code : worst(code, 'stays')
  })
}

async function tell(
  { operator, say }: Session,
  recovered: Recovered,
  more: object,
): Promise<ExitName> {
  const { ended, alarms, unreachable } = recovered
  const standing = recovered.standing.filter((each) => !isNotOurs(each))
  const contradictions = await operator.contradictions()
  say.json({
    app: operator.app,
    ...more,
    ended: ended.map(({ participant, gid, outcome }) => ({ participant, gid, outcome })),
    stays: standing.map(standingJson),
    alarms,
    unreachable: unreachable.map(errorJson),
    contradictions,
  })
  say.text(tableOf(ended.map(({ outcome, participant, gid }) => [outcome, participant, gid])))
  say.text(
    standing.length > 0
      ? `${ended.length} ended, ${standing.length} stay:\n${standingText(standing)}`
      : `${ended.length} ended, nothing of app ${operator.app} stays prepared${whereOf(unreachable.length, reachedOf(operator, unreachable))}.\n`,
  )
  for (const alarm of alarms) {
    if (alarm.type !== 'lost-vote' && alarm.type !== 'lost-decision') continue
    say.warn(
      `ALARM: ${alarm.type} of ${alarm.gid} at ${alarm.participant}. See docs/operate/in-doubt.md`,
    )
  }
  return worst(
    standing.length > 0 ? 'stays' : 'ok',
    alarms.length > 0 ? 'alarm' : 'ok',
    sayUnreachable(say, unreachable),
    sayContradictions(say, contradictions),
    sayContradicted(say, standing.filter(isContradicted)),
  )
}

/** Of those that could not be reached nothing is known. */
function whereOf(unreachable: number, reached: readonly string[]): string {
  if (unreachable === 0) return ''
  return reached.length === 0 ? ' that could be reached' : ` in ${reached.join(', ')}`
}
