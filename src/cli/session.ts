/**
 * One run of a command: its configuration, its output, its end.
 *
 * Owns: that the configuration is opened once and closed; what is JSON and what is for people.
 * Promises: stdout has what was asked for, and nothing else; what speaks against it goes to stderr, a
 * line each.
 */
import type { Contradiction, Operator, Unreachable } from '../engine/index.ts'
import { configure } from './configuration.ts'
import type { ConfigurationFlags } from './configuration.ts'
import type { ExitName } from './exit-codes.ts'
import { messageOf } from './words.ts'

export interface CommonFlags extends ConfigurationFlags {
  readonly json?: boolean
}

export interface Session {
  readonly operator: Operator
  /** The participant that the configuration names as decider. */
  readonly decider: string | undefined
  readonly say: Say
}

export interface Say {
  /** To stdout; with --json, only `json` prints. */
  readonly text: (text: string) => void
  readonly json: (value: object) => void
  /** To stderr. */
  readonly warn: (line: string) => void
}

export function sayFor(flags: CommonFlags): Say {
  const isJson = flags.json === true
  return {
    text: (text) => {
      if (!isJson) process.stdout.write(text)
    },
    json: (value) => {
      if (isJson) process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`)
    },
    warn: (line) => {
      process.stderr.write(`assent: ${line}\n`)
    },
  }
}

/** @throws CommandError when there is no configuration to work on */
export async function inSession(
  flags: CommonFlags,
  work: (session: Session) => Promise<ExitName>,
): Promise<ExitName> {
  const { operator, decider } = await configure(flags)
  try {
    return await work({ operator, decider, say: sayFor(flags) })
  } finally {
    await operator.close()
  }
}

/** The names of those that could be reached. */
export function reachedOf(
  { participants }: Operator,
  unreachable: readonly Unreachable[],
): readonly string[] {
  return [...participants.keys()].filter(
    (name) => !unreachable.some(({ participant }) => participant === name),
  )
}

/** Tells of each, on stderr. */
export function sayUnreachable(say: Say, unreachable: readonly Unreachable[]): ExitName {
  for (const { error } of unreachable) say.warn(messageOf(error))
  return unreachable.length > 0 ? 'unreachable' : 'ok'
}

/** Of each register that was set back: on stderr. */
export function sayContradicted(
  say: Say,
  found: readonly { readonly register: string | undefined }[],
): ExitName {
  const registers = new Set(found.map(({ register }) => register ?? 'its register'))
  for (const register of registers) {
    say.warn(
      `ALARM: ${register} was set back: it has no decision for what another database has applied. ` +
        'See "The register was restored or promoted" in docs/operate/in-doubt.md',
    )
  }
  return registers.size > 0 ? 'alarm' : 'ok'
}

/** Tells of each, on stderr. */
export function sayContradictions(say: Say, found: readonly Contradiction[]): ExitName {
  for (const { participant, gid, byHand, registerSays, decidedBy } of found) {
    say.warn(
      `ALARM: ${decidedBy} decided ${byHand} for ${gid} in ${participant} while its register was lost, ` +
        `and that register now has ${registerSays}. Compare the two by hand`,
    )
  }
  return found.length > 0 ? 'alarm' : 'ok'
}
