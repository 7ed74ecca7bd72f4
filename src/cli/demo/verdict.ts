/**
 * What the databases show in the end, held against what the callers were told.
 *
 * Promises: pure; a transfer of which nobody was told anything may have gone either way, but the same way
 * in both of its databases.
 */
import type { Outcome } from '../../protocol/index.ts'
import type { Shown } from './coins.ts'

/** A transfer as its worker told it; `nothing` if the worker was killed first. */
export interface Told {
  readonly id: string
  readonly outcome: Outcome | 'nothing'
}

export interface Verdict {
  /** In both databases. */
  readonly moved: number
  readonly coinsBefore: number
  readonly coinsAfter: number
  /** A line for each thing that is not as it should be. */
  readonly disagreements: readonly string[]
}

export function judge(
  shown: ReadonlyMap<string, Shown>,
  told: readonly Told[],
  coinsBefore: number,
): Verdict {
  const found = new Map<string, string[]>()
  for (const [database, { moves }] of shown) {
    for (const id of moves) found.set(id, [...(found.get(id) ?? []), database])
  }
  const disagreements: string[] = []
  for (const [id, databases] of found) {
    if (databases.length !== 2) disagreements.push(`${id} is in ${databases.join(', ')} alone`)
  }
  for (const { id, outcome } of told) {
    const isThere = found.has(id)
    if (outcome === 'committed' && !isThere)
      disagreements.push(`${id} was told committed, and is nowhere`)
    if (outcome === 'aborted' && isThere) disagreements.push(`${id} was told aborted, and is there`)
  }
  const coinsAfter = [...shown.values()].reduce((sum, { coins }) => sum + coins, 0)
  if (coinsAfter !== coinsBefore) {
    disagreements.push(`${coinsBefore} coins became ${coinsAfter}`)
  }
  const moved = [...found.values()].filter(({ length }) => length === 2).length
  return { moved, coinsBefore, coinsAfter, disagreements }
}
