/**
 * `assent lost`: what a database that was set back has lost.
 */
import { inSession, sayUnreachable } from '../session.ts'
import type { CommonFlags } from '../session.ts'
import type { Unreachable } from '../../engine/index.ts'
import { worst } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import { errorJson, tableOf } from '../words.ts'

function nothingText(unreachable: readonly Unreachable[]): string {
  const names = unreachable.map(({ participant }) => participant).join(', ')
  return names === ''
    ? 'Whatever was applied, and is not forgotten yet, has its decision.\n'
    : `Nothing was found; but of what concerns ${names}, nothing can be known now.\n`
}

export function lost(flags: CommonFlags): Promise<ExitName> {
  return inSession(flags, async ({ operator, say }) => {
    const found = await operator.lost()
    const { unreachable } = found
    say.json({
      app: operator.app,
      lost: found.lost,
      leftOut: found.leftOut,
      unreachable: unreachable.map(errorJson),
    })
    const rows = found.lost.map(({ transactionId, register, appliedIn }) => [
      register,
      appliedIn.join(', '),
      transactionId,
    ])
    const header = ['LOST BY', 'APPLIED IN', 'TRANSACTION']
    if (rows.length > 0) say.text(`${tableOf([header, ...rows])}\n`)
    say.text(
      rows.length === 0
        ? nothingText(unreachable)
        : `${rows.length} committed, and missing in ${[...new Set(found.lost.map(({ register }) => register))].join(', ')}.\n`,
    )
    if (found.leftOut.length > 0) {
      const names = found.leftOut.join(', ')
      say.warn(`${names}: not gone through; nothing was ever marked there, or it is read-only now`)
    }
    return worst(rows.length > 0 ? 'alarm' : 'ok', sayUnreachable(say, unreachable))
  })
}
