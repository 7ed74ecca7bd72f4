/**
 * Decisions that were taken by hand while a register was lost, compared with that register.
 *
 * Promises: a register that came back with the other decision is found by the first look, and told.
 * Never: repairs anything. Two databases disagree, and only a person knows what is right.
 */
import { contradicts, formatGid, meaningOf } from '../protocol/index.ts'
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
  const { txid, decision } = resolution
  try {
    // In this order: a receipt goes before its decision does, when both are forgotten.
    const register = await participants.get(resolution.register)?.byHand.mark(txid)
    const receipt = await participants.get(participant)?.byHand.mark(txid)
    if (!participants.has(resolution.register)) return undefined
    const row = register === undefined ? 'none' : meaningOf(register.decision)
    if (contradicts(decision, row) === undefined) return undefined
    // Committed, settled and forgotten since: nothing is left of either.
    if (decision === 'commit' && receipt === undefined) return undefined
    return {
      participant,
      gid: formatGid(resolution),
      byHand: decision,
      registerSays: row === 'none' ? 'nothing' : row,
      decidedBy: resolution.decidedBy,
    }
  } catch {
    return undefined
  }
}
