/**
 * `assent show ID`: one transaction, branch by branch.
 */
import { assertNever } from '../../protocol/index.ts'
import type { Shown, ShownBranch } from '../../engine/index.ts'
import { CommandError, worst } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import { inSession, sayContradicted, sayContradictions, sayUnreachable } from '../session.ts'
import type { CommonFlags } from '../session.ts'
import { durationOf, errorJson, sentenceOf, tableOf } from '../words.ts'

export function show(id: string, flags: CommonFlags): Promise<ExitName> {
  return inSession(flags, async ({ operator, say }) => {
    const shown = await operator.show(id)
    if (shown === undefined) {
      throw new CommandError(
        'notFound',
        `no participant has anything of ${id}: it wrote in one database only, was rolled back, or was ` +
          'forgotten',
      )
    }
    const contradictions = (await operator.contradictions()).filter(({ gid }) =>
      gid.includes(`.${shown.txid}.`),
    )
    const { unreachable, ...rest } = shown
    say.json({ ...rest, unreachable: unreachable.map(errorJson), contradictions })
    say.text(shownText(shown))
    return worst(
      sayUnreachable(say, unreachable),
      sayContradictions(say, contradictions),
      sayContradicted(say, shown.decision === 'contradicted' ? [shown] : []),
    )
  })
}

export function shownText(shown: Shown): string {
  const { transactionId, txid, branches, resolutions } = shown
  const rows = branches.map((branch) => [
    branch.participant,
    branch.role,
    stateText(branch, shown.decision),
  ])
  const recorded = resolutions.map(
    ({ branch, decision, decidedBy, reason, basis }) =>
      `${decidedBy} decided ${decision} for ${branch} by hand` +
      `${basis === 'register' ? '' : ', without the register'}: ${reason}\n`,
  )
  return (
    `transaction  ${transactionId ?? txid}\ndecision     ${decisionText(shown)}\n` +
    `${tableOf(rows)}${recorded.join('')}\n${nextText(shown)}\n`
  )
}

function decisionText({ decision, register, branches }: Shown): string {
  const row = branches.find(({ participant }) => participant === register)?.mark?.decision
  const at = register ?? ''
  switch (decision) {
    case 'commit':
      return `commit, read at ${at}${row === undefined ? '' : ` (${row})`}`
    case 'abort':
      return row === undefined
        ? `abort: ${at} has no row, remembers its epoch, and so it can never commit`
        : `abort, read at ${at} (${row})`
    case 'contradicted':
      return `not to be known: ${at} has no row, and has lost decisions that another database has applied`
    case 'running':
      return `none yet: its transaction is still open at ${at}`
    case 'held':
      return `not to be known: ${at} has no row, and does not remember its epoch`
    case 'unclear':
      return `unknown: ${at} can't be asked`
    case 'not-configured':
      return `unknown: its register ${at} is not configured here`
    case 'nobody-asked':
      return 'unknown: nothing that can be reached names its register'
    default:
      return assertNever(decision)
  }
}

function stateText(
  { state, ageMs, owner, mark, role }: ShownBranch,
  decision: Shown['decision'],
): string {
  switch (state) {
    case 'prepared':
      return `voted yes, prepared for ${durationOf(ageMs)}, owned by ${owner ?? 'unknown'}`
    case 'applied':
      return role === 'decider'
        ? `has the decision (${mark?.decision ?? ''}), written ${durationOf(mark?.ageMs)} ago`
        : `applied: its receipt is there, written ${durationOf(mark?.ageMs)} ago`
    case 'nothing':
      return decision === 'running'
        ? 'nothing prepared, and nothing committed yet'
        : 'nothing prepared, and no mark'
    case 'unreachable':
      return "can't be reached"
    case 'not-configured':
      return 'not configured here'
    default:
      return assertNever(state)
  }
}

/** In a sentence, what happens next. */
function nextText({ branches, register, decision }: Shown): string {
  const waiting = branches.filter((branch) => branch.waitsFor !== undefined)
  const sentences = waiting.map(({ participant, waitsFor, owner }) =>
    waitsFor === undefined
      ? ''
      : `${participant}: ${sentenceOf(waitsFor, { register, owner: owner ?? 'another' })}.`,
  )
  if (sentences.length > 0) return sentences.join('\n')
  if (decision === 'contradicted') return 'Nothing of it is prepared: recovery can do nothing.'
  const isBlind = branches.some(({ state }) => state === 'unreachable')
  if (isBlind) return 'Nothing of it is prepared where that can be told.'
  return decision === 'running'
    ? 'Nothing of it is prepared; its own process is at work.'
    : 'Nothing of it is prepared: recovery has nothing to do.'
}
