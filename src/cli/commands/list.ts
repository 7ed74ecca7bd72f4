/**
 * `assent list`: what is prepared, the oldest first, and why.
 */
import { isNotOurs } from '../../engine/index.ts'
import type { Standing, StandingReason } from '../../engine/index.ts'
import { worst } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import {
  inSession,
  reachedOf,
  sayContradicted,
  sayContradictions,
  sayUnreachable,
} from '../session.ts'
import type { CommonFlags } from '../session.ts'
import { durationOf, errorJson, sentenceOf, tableOf } from '../words.ts'

export interface ListFlags extends CommonFlags {
  readonly all?: boolean
}

export function list(flags: ListFlags): Promise<ExitName> {
  return inSession(flags, async ({ operator, say }) => {
    const { standing, unreachable } = await operator.list()
    const contradictions = await operator.contradictions()
    const shown = flags.all === true ? standing : standing.filter((each) => !isNotOurs(each))
    say.json({
      app: operator.app,
      branches: shown.map(standingJson),
      unreachable: unreachable.map(errorJson),
      contradictions,
    })
    const names = reachedOf(operator, unreachable).join(', ')
    say.text(shown.length > 0 ? standingText(shown) : '')
    if (shown.length === 0 && names !== '') {
      say.text(`Nothing of app ${operator.app} is prepared in ${names}.\n`)
    }
    const others = standing.length - shown.length
    if (others > 0) say.text(`${others} of other apps, or unreadable: assent list --all\n`)
    return worst(
      sayUnreachable(say, unreachable),
      sayContradictions(say, contradictions),
      sayContradicted(say, standing.filter(isContradicted)),
    )
  })
}

export function isContradicted({ reason }: Standing): boolean {
  return reason === 'contradicted'
}

export function standingJson({ ageMs, ...rest }: Standing): object {
  return { ...rest, ageMs: Number.isFinite(ageMs) ? ageMs : null }
}

export function standingText(standing: readonly Standing[]): string {
  const rows = standing.map(({ ageMs, participant, owner, reason, gid }) => [
    durationOf(ageMs),
    participant,
    owner,
    reason,
    gid,
  ])
  const seen = new Map<StandingReason, Standing>()
  for (const each of standing) if (!seen.has(each.reason)) seen.set(each.reason, each)
  const sentences = [...seen].map(([reason, each]) => `${reason}: ${sentenceOf(reason, each)}.\n`)
  return `${tableOf([['AGE', 'PARTICIPANT', 'OWNER', 'REASON', 'ID'], ...rows])}\n${sentences.join('')}`
}
