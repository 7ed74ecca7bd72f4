/**
 * `assent doctor`: what each database is like, what to change, in which order.
 */
import { AssentError } from '../../protocol/index.ts'
import type { Examination, Finding } from '../../ports/index.ts'
import type { Unreachable } from '../../engine/index.ts'
import { adviseDecider } from '../decider-advice.ts'
import type { ExitName } from '../exit-codes.ts'
import { inSession } from '../session.ts'
import type { CommonFlags } from '../session.ts'
import { errorJson, messageOf, tableOf } from '../words.ts'

export function doctor(flags: CommonFlags): Promise<ExitName> {
  return inSession(flags, async ({ operator, decider, say }) => {
    const { examinations, unreachable } = await operator.examine()
    const names = [...operator.participants.keys()]
    const together = adviseDecider(
      [...examinations].map(([name, each]) => ({ name, ...each })),
      decider,
    )
    const order = todoOf(names, examinations, unreachable, together)
    say.json({
      app: operator.app,
      participants: Object.fromEntries(examinations),
      together,
      unreachable: unreachable.map(errorJson),
      todo: order,
    })
    for (const name of names) say.text(examined(name, examinations.get(name), unreachable))
    if (together.length > 0) say.text(`together\n${findingsText(together)}\n`)
    say.text(todoText(order))
    return exitOf(order)
  })
}

interface Todo {
  readonly severity: 'must change' | 'advice'
  /** `together`: of all participants. */
  readonly participant: string
  readonly what: string
  readonly run: string
}

/** What must be changed comes first; a server that can't be reached before all else. */
function todoOf(
  names: readonly string[],
  examinations: ReadonlyMap<string, Examination>,
  unreachable: readonly Unreachable[],
  together: readonly Finding[],
): readonly Todo[] {
  const of = (participant: string, findings: readonly Finding[]): readonly Todo[] =>
    findings.flatMap((finding) =>
      finding.severity === 'ok' || finding.run === undefined
        ? []
        : [{ severity: finding.severity, participant, what: finding.what, run: finding.run }],
    )
  const found = [
    ...names.flatMap((name) => of(name, examinations.get(name)?.findings ?? [])),
    ...of('together', together),
  ]
  return [
    ...unreachable.map(({ participant, error }) => unreachableTodo(participant, error)),
    ...found.filter(({ severity }) => severity === 'must change'),
    ...found.filter(({ severity }) => severity === 'advice'),
  ]
}

function unreachableTodo(participant: string, error: unknown): Todo {
  const words = messageOf(error).replace(/^Participant [^ :]+:? /, '')
  const at = words.lastIndexOf('. ')
  return {
    severity: 'must change',
    participant,
    what: at < 0 ? words : words.slice(0, at),
    run: at < 0 ? 'See docs/errors.md' : words.slice(at + 2).replace(/\.$/, ''),
  }
}

function examined(
  name: string,
  examination: Examination | undefined,
  unreachable: readonly Unreachable[],
): string {
  if (examination === undefined) {
    const error = unreachable.find(({ participant }) => participant === name)?.error
    const code = error instanceof AssentError ? `${error.code}: ` : ''
    return `${name}  not examined\n  must change  ${code}${messageOf(error)}\n\n`
  }
  const { server, roundTripMs, forcedWriteMs, findings } = examination
  const write =
    forcedWriteMs === undefined ? 'forced write not measured' : `forced write ${ms(forcedWriteMs)}`
  return `${name}  ${server}  round trip ${ms(roundTripMs)}, ${write}\n${findingsText(findings)}\n`
}

function findingsText(findings: readonly Finding[]): string {
  return tableOf(findings.map(({ severity, what }) => [`  ${severity}`, what]))
}

function todoText(order: readonly Todo[]): string {
  if (order.length === 0) return 'Nothing has to be changed.\n'
  const lines = order.map(
    ({ severity, participant, what, run }, at) =>
      `${at + 1}. ${participant} (${severity}): ${what}.\n   ${run}.\n`,
  )
  return `What to do, in this order:\n${lines.join('')}`
}

function exitOf(order: readonly Todo[]): ExitName {
  if (order.some(({ severity }) => severity === 'must change')) return 'mustChange'
  return order.length > 0 ? 'advice' : 'ok'
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : String(Math.round(value))} ms`
}
