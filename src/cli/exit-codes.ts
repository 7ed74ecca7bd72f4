/**
 * Every exit code of the command line: the one table.
 *
 * Promises: `assent help exit-codes` prints it, and docs/operate/command-line.md has it (compared by a
 * test). Where several apply, the highest counts.
 */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'Done as asked; doctor has nothing to say' },
  failed: { code: 1, meaning: 'Something unexpected happened: a bug, or its environment' },
  usage: {
    code: 2,
    meaning:
      'The command line can’t be meant: an unknown command or flag, flags that contradict each other, an id that can’t be read or is of another app',
  },
  configuration: {
    code: 3,
    meaning: 'There is no configuration, it can’t be loaded, or a driver is missing',
  },
  advice: {
    code: 4,
    meaning: 'doctor: all works, and something is to be known or could be better',
  },
  stays: {
    code: 5,
    meaning: 'recover, drain, resolve, demo: something of this app stays prepared',
  },
  notFound: { code: 6, meaning: 'show, resolve: no participant has anything of that id' },
  refused: {
    code: 7,
    meaning: 'Refused, and nothing was changed; the line says what to do instead',
  },
  unreachable: {
    code: 8,
    meaning: 'A participant could not be reached; what the others said is printed',
  },
  mustChange: {
    code: 9,
    meaning: 'doctor: something must be changed before two-phase commit works',
  },
  alarm: {
    code: 10,
    meaning:
      'Databases disagree: a lost vote, a lost decision, a decision by hand that its register contradicts; or what demo finds',
  },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>

export type ExitName = keyof typeof EXIT_CODES

/** Of several, the highest. */
export function worst(...names: readonly ExitName[]): ExitName {
  return names.reduce((a, b) => (EXIT_CODES[b].code > EXIT_CODES[a].code ? b : a), 'ok')
}

/** Why a command ends without having done anything: one line on stderr, and its exit code. */
export class CommandError extends Error {
  readonly exit: ExitName

  constructor(exit: ExitName, message: string) {
    super(message)
    this.name = 'CommandError'
    this.exit = exit
  }
}

/** For `assent help exit-codes`. */
export function exitCodesText(): string {
  const rows = Object.values(EXIT_CODES).map(
    ({ code, meaning }) => `${String(code).padStart(4)}  ${meaning}`,
  )
  return `${rows.join('\n')}\n`
}
