/**
 * Decisions that were taken by hand while a register was lost, compared with that register.
 *
 * Promises: a register that came back with the other decision is found by the first look, and told. One
 * that came back empty says nothing: that it was lost is what the person had said.
 * Never: repairs anything. Two databases disagree, and only a person knows what is right.
 */
import { conclude, formatGid } from '../protocol/index.ts'
import type { Resolution } from '../ports/index.ts'
import { fromEach } from './standing.ts'
import type { Participants } from './standing.ts'

export interface Contradiction {
  /** Where the branch was ended by hand. */
  readonly participant: string
  readonly gid: string
  readonly byHand: 'commit' | 'abort'
  readonly registerSays: 'commit' | 'abort' | 'nothing'
  readonly decidedBy: string
}

/** What can't be read is left for the next look. */
export async function contradictionsOf(
  app: string,
  participants: Participants,
): Promise<readonly Contradiction[]> {
  const { answers } = await fromEach(participants, (each) => each.byHand.resolutions())
  const found: Contradiction[] = []
  for (const [name, resolutions] of answers) {
    for (const resolution of resolutions) {
      if (resolution.app !== app || resolution.basis !== 'register-lost') continue
      const contradiction = await compare(name, resolution, participants)
      if (contradiction !== undefined) found.push(contradiction)
    }
  }
  return found
}

async function compare(
  participant: string,
  resolution: Resolution,
  participants: Participants,
): Promise<Contradiction | undefined> {
  const { decision, decidedBy } = resolution
  const answer = await participants.get(resolution.register)?.ask(resolution)
  if (answer === undefined) return undefined
  const says = conclude(answer)
  // What it does not remember, it does not deny: a new database in its place, or long forgotten.
  if ((says !== 'commit' && says !== 'abort') || says === decision) return undefined
  return {
    participant,
    gid: formatGid(resolution),
    byHand: decision,
    registerSays: answer.answer === 'found' ? says : 'nothing',
    decidedBy,
  }
}
