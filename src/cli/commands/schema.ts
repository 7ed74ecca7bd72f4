/**
 * `assent migrate` and `assent restored NAME`.
 */
import { AssentError } from '../../protocol/index.ts'
import { CommandError } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import { inSession, sayUnreachable } from '../session.ts'
import type { CommonFlags } from '../session.ts'
import { errorJson, messageOf } from '../words.ts'

export interface PrintFlags extends CommonFlags {
  readonly print?: boolean
}

export function migrate(flags: PrintFlags): Promise<ExitName> {
  return inSession(flags, async ({ operator, say }) => {
    const print = flags.print === true
    const { sql, unreachable } = await operator.migrate({ print })
    say.json({ participants: Object.fromEntries(sql), unreachable: unreachable.map(errorJson) })
    for (const [name, text] of sql) {
      say.text(print ? `-- ${name}\n${text}\n` : `${name}: Assent's tables are there.\n`)
    }
    return sayUnreachable(say, unreachable)
  })
}

export function restored(name: string, flags: PrintFlags): Promise<ExitName> {
  return inSession(flags, async ({ operator, say }) => {
    const participant = operator.participants.get(name)
    if (participant === undefined) {
      const names = [...operator.participants.keys()].join(', ')
      throw new CommandError(
        'usage',
        `${JSON.stringify(name.slice(0, 40))} is no participant of this configuration. Expected one of ${names}`,
      )
    }
    const print = flags.print === true
    let sql: string
    try {
      sql = await participant.restored({ print })
    } catch (error) {
      throw new CommandError(exitOf(error), messageOf(error))
    }
    say.json({ participant: name, sql, done: !print })
    say.text(
      print
        ? `${sql}\n`
        : `${name} remembers no epoch any more: what has no decision there is held for a person.\n`,
    )
    return 'ok'
  })
}

/** A database that answers, and refuses, was reached. */
function exitOf(error: unknown): ExitName {
  const isRefused = error instanceof AssentError && error.code !== 'ASSENT_UNREACHABLE'
  return isRefused ? 'refused' : 'unreachable'
}
