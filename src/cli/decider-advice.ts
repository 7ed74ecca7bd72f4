/**
 * Which participant should decide.
 *
 * Owns: what the examinations together say; no single database can know it.
 */
import type { Examination, Finding } from '../ports/index.ts'

type Examined = Pick<Examination, 'canPrepare' | 'asDecider'> & { readonly name: string }

/** `decider`: as configured for the whole app. */
export function adviseDecider(
  examined: readonly Examined[],
  decider: string | undefined,
): readonly Finding[] {
  if (examined.length < 2) return []
  const mustDecide = examined.filter(({ canPrepare }) => !canPrepare).map(({ name }) => name)
  if (mustDecide.length > 1) {
    return [
      {
        severity: 'advice',
        what: `${mustDecide.join(' and ')} can't prepare: no transaction can write in more than one of them`,
        run: 'Set max_prepared_transactions on all of them but one',
      },
    ]
  }
  const [must] = mustDecide
  if (must !== undefined) {
    return advised(must, decider, `${must} can't prepare, so it decides wherever it writes`)
  }
  const better = examined.filter(({ asDecider }) => asDecider === 'better').map(({ name }) => name)
  const [first] = better
  if (first === undefined || (decider !== undefined && better.includes(decider))) {
    return [
      {
        severity: 'ok',
        what: decider === undefined ? 'any of them may decide' : `${decider} decides`,
      },
    ]
  }
  const why = `${first} decides best: MySQL and MariaDB without a binary log are not prepared at all where they decide`
  return advised(first, decider, why)
}

function advised(name: string, decider: string | undefined, why: string): readonly Finding[] {
  if (decider === name) return [{ severity: 'ok', what: why }]
  const run = `Set decider: '${name}' in what createAssent() is given`
  return [{ severity: 'advice', what: why, run }]
}
