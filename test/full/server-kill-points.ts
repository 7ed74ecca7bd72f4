/**
 * Owns: at which messages a server is killed during a healthy transaction, out of its golden
 * transcript; what must become of the transaction then; and which numbered fault that is.
 */
import type { Fate } from '../crash/crash-points.ts'
import { kindOf, participantOf, phaseOf } from '../crash/message-names.ts'
import type { Kind } from '../crash/message-names.ts'
import type { Golden } from '../crash/transcript.ts'

/** Who plays which part: the golden transcript's names, in the order of its databases. */
export interface Cast {
  readonly golden: Golden
  /** The first decides. */
  readonly writes: readonly string[]
  readonly reads: readonly string[]
  /** Whether the decider is used second, and its claim goes along, or first. Default: second. */
  readonly decider?: 'used first'
  /** What is killed at: everything, or only what comes after the work. */
  readonly messages: 'all' | 'commit path'
}

/** What of the message was done when the server died. */
export type ServerStage = 'sent, not processed' | 'processed, not answered' | 'answered'

export interface ServerKill {
  readonly victim: string
  readonly message: string
  readonly stage: ServerStage
}

const ALL_STAGES = ['sent, not processed', 'processed, not answered', 'answered'] as const
const NAMES = ['orders', 'stock']

/** The golden transcript's messages, as this cast says them. */
export function messagesOf({ golden, writes, reads }: Cast): readonly string[] {
  const played = new Map([...golden.messages].map((each) => [participantOf(each), '']))
  const others = [...played.keys()].filter((name) => !NAMES.includes(name))
  const names = [...NAMES, ...others]
  return golden.messages.map((each) => {
    const actor = [...writes, ...reads][names.indexOf(participantOf(each))] ?? ''
    return each.replace(participantOf(each), actor)
  })
}

/** Every database of the cast as the victim, at every message, its own and those of others. */
export function killsOf(cast: Cast, stagesOfOthers: readonly ServerStage[]): readonly ServerKill[] {
  const messages = messagesOf(cast).filter((message) => cast.messages === 'all' || !isWork(message))
  return [...cast.writes, ...cast.reads].flatMap((victim) =>
    messages.flatMap((message) =>
      stagesAt(message, victim, stagesOfOthers).map((stage) => ({ victim, message, stage })),
    ),
  )
}

/** Of another server's message, only what is done about it meanwhile makes a difference. */
function stagesAt(
  message: string,
  victim: string,
  ofOthers: readonly ServerStage[],
): readonly ServerStage[] {
  if (participantOf(message) === victim) return ALL_STAGES
  return isWork(message) ? ['answered'] : ofOthers
}

export function isWork(message: string): boolean {
  return ['session', 'begin', 'work'].includes(kindOf(message))
}

/**
 * What becomes of the transaction: for each part, one message of its own matters. `either` where
 * that depends on who was faster: the restart, or a message that leaves in parallel.
 */
export function fateOf(kill: ServerKill, cast: Cast): Fate | 'either' {
  const { victim, message, stage } = kill
  const messages = messagesOf(cast)
  const phase = (name: string): number =>
    messages.findIndex((each) => phaseOf(each) === phaseOf(name))
  const begin = messages.indexOf(`${victim} begin 1`)
  const at = messages.indexOf(message)
  // Its branch is not there yet: joining it is tried again, with a server that may be back.
  if (at < begin || (at === begin && stage !== 'answered')) return 'either'
  const deadly = `${victim} ${deadlyKind(victim, cast)} 1`
  if (participantOf(message) === victim && message !== deadly) {
    return at < messages.indexOf(deadly) ? 'aborted' : 'committed'
  }
  if (phase(message) !== phase(deadly)) {
    return phase(message) < phase(deadly) ? 'aborted' : 'committed'
  }
  if (message !== deadly) return 'either'
  if (stage === 'answered') return 'committed'
  // An unclear vote is never a yes; an unclear COMMIT is found out.
  const isFoundOut = kindOf(deadly) === 'decide' && stage === 'processed, not answered'
  return isFoundOut ? 'committed' : 'aborted'
}

function deadlyKind(victim: string, { writes, reads }: Cast): Kind {
  if (reads.includes(victim)) return 'commit'
  return victim === writes[0] ? 'decide' : 'vote'
}

/** The numbered faults of docs/faults.md. */
export function serverFaultOf(kill: ServerKill, cast: Cast): string {
  const { victim, message, stage } = kill
  const messages = messagesOf(cast)
  if (cast.reads.includes(victim)) return 'a declared reader dies'
  const own = `${victim} ${deadlyKind(victim, cast)} 1`
  const isBefore = messages.indexOf(message) < messages.indexOf(own)
  if (victim === cast.writes[0]) {
    if (message === own && stage === 'processed, not answered') {
      return 'fault 20: the decider dies during COMMIT'
    }
    return isBefore || (message === own && stage === 'sent, not processed')
      ? 'fault 19: the decider dies before COMMIT'
      : 'fault 21: the decider dies after COMMIT'
  }
  if (isBefore || (message === own && stage === 'sent, not processed')) {
    return 'fault 15: a voter dies before PREPARE'
  }
  if (message === own && stage === 'processed, not answered') {
    return 'fault 16: a voter dies during PREPARE'
  }
  const isEnding = message === `${victim} apply 1` && stage !== 'answered'
  return isEnding
    ? 'fault 18: a voter dies during COMMIT PREPARED'
    : 'fault 17: a voter dies after PREPARE'
}
