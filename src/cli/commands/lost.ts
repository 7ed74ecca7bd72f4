/**
 * `assent lost`: what a database that was set back has lost.
 */
import { inSession, sayUnreachable } from '../session.ts'
import type { CommonFlags } from '../session.ts'
import { worst } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import { errorJson, tableOf } from '../words.ts'

export function lost(flags: CommonFlags): Promise<ExitName> {
  return inSession(flags, async ({ operator, say }) => {
    const found = await operator.lost()
    const { unreachable } = found
    say.json({ app: operator.app, lost: found.lost, unreachable: unreachable.map(errorJson) })
    const rows = found.lost.map(({ transactionId, register, appliedIn }) => [
      register,
      appliedIn.join(', '),
      transactionId,
    ])
    const header = ['LOST BY', 'APPLIED IN', 'TRANSACTION']
    if (rows.length > 0) say.text(`${tableOf([header, ...rows])}\n`)
    say.text(
      rows.length === 0
        ? 'Whatever was applied, and is not forgotten yet, has its decision.\n'
        : `${rows.length} committed, and one of the databases that they changed was set back to before that.\n`,
    )
    return worst(rows.length > 0 ? 'alarm' : 'ok', sayUnreachable(say, unreachable))
  })
}
