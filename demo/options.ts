/**
 * Owns: what may stand behind `npm start --`, its limits and its help.
 * Promises: a wrong argument is answered by one line that says what was given and what is expected.
 */
import { SYSTEMS } from './database.ts'
import type { System } from './database.ts'

export interface RunOptions {
  /** At least one, each once, in the order of SYSTEMS. */
  readonly databases: readonly System[]
  readonly seconds: number
  readonly workers: number
  readonly seed: number
}

export type Reading =
  | { readonly kind: 'run'; readonly options: RunOptions }
  | { readonly kind: 'trace' }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string }

export const HELP = `Usage: npm start -- [--seconds N] [--workers N] [--seed N] [--databases LIST]
       npm start -- --trace

Moves money between three real PostgreSQL databases with Assent's defaults, while workers and
databases are killed with SIGKILL, and then proves by plain SQL that nothing was lost or made.

  --databases postgres,mariadb
                the same between two databases of PostgreSQL and two of MariaDB, one of which writes
                a binary log; or with mariadb alone, between three of it (default: postgres).
                MariaDB 11.4 is downloaded if it isn't there: once, 149 MB, into the user's cache
  --seconds N   how long the killing goes on, 1 to 86400 (default 30)
  --workers N   how many worker processes transfer money, 1 to 32 (default 4)
  --seed N      seed of every random choice, 0 to 4294967295 (default: a random one, printed)
  --trace       shows the messages of one transaction instead, phase by phase, and of two that are
                killed after their votes and recovered by another process
  --help        prints this

Exit code: 0 nothing disagrees · 1 something does, or the demo failed · 2 wrong arguments ·
130 interrupted. NO_COLOR=1 switches colours off.
`

const NUMBERS = {
  '--seconds': { least: 1, most: 86_400 },
  '--workers': { least: 1, most: 32 },
  '--seed': { least: 0, most: 2 ** 32 - 1 },
} as const

type NumberName = keyof typeof NUMBERS

export function readArguments(given: readonly string[]): Reading {
  const numbers = new Map<NumberName, number>()
  let databases: readonly System[] | undefined
  let isTrace = false
  const waiting = given.flatMap(splitAtEquals)
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (name === '--help' || name === '-h') return { kind: 'help' }
    if (name === '--trace') {
      isTrace = true
      continue
    }
    if (name === '--databases') {
      const text = waiting.shift()
      databases = readSystems(text)
      if (databases === undefined) return wrongSystems(text)
      continue
    }
    if (!isNumberName(name)) {
      return wrong(`unknown argument ${JSON.stringify(name)}; --help lists what there is`)
    }
    const { least, most } = NUMBERS[name]
    const text = waiting.shift()
    const isNumber = text !== undefined && /^\d{1,10}$/.test(text)
    const value = Number(text)
    if (!isNumber || value < least || value > most) {
      return wrong(`${name} needs a whole number from ${least} to ${most}, and got ${got(text)}`)
    }
    numbers.set(name, value)
  }
  if (isTrace) {
    const isAlone = numbers.size === 0 && databases === undefined
    return isAlone ? { kind: 'trace' } : wrong('--trace takes no other option')
  }
  return {
    kind: 'run',
    options: {
      databases: databases ?? ['postgres'],
      seconds: numbers.get('--seconds') ?? 30,
      workers: numbers.get('--workers') ?? 4,
      seed: numbers.get('--seed') ?? Math.floor(Math.random() * 1_000_000),
    },
  }
}

function splitAtEquals(argument: string): readonly string[] {
  const at = argument.indexOf('=')
  return argument.startsWith('--') && at > 0
    ? [argument.slice(0, at), argument.slice(at + 1)]
    : [argument]
}

/** `undefined` for what is no list of systems. */
function readSystems(text: string | undefined): readonly System[] | undefined {
  const named = (text ?? '').split(',')
  const isList = named.every((name) => (SYSTEMS as readonly string[]).includes(name))
  if (!isList || new Set(named).size < named.length) return undefined
  return SYSTEMS.filter((system) => named.includes(system))
}

function wrongSystems(text: string | undefined): Reading {
  const known = `${SYSTEMS.join(', ')} or ${SYSTEMS.join(',')}`
  return wrong(`--databases needs ${known}, and got ${got(text)}`)
}

function got(text: string | undefined): string {
  return text === undefined ? 'nothing' : JSON.stringify(text)
}

function isNumberName(name: string): name is NumberName {
  return name in NUMBERS
}

function wrong(message: string): Reading {
  return { kind: 'wrong', message }
}
