/**
 * Owns: what may stand behind `npm run bench --`, its limits and its help.
 * Promises: a wrong argument is answered by one line that says what was given and what is expected.
 */
import { CONTENDERS, CONTENDER_NAMES, GUARANTEE_NAMES, PAIR_NAMES } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import { MIXED_NAMES } from './pairs.ts'

export interface BenchOptions {
  readonly contenders: readonly ContenderName[]
  readonly atOnce: readonly number[]
  readonly addedMs: readonly number[]
  /** Undefined: more where nothing is added to a round trip, fewer where something is. */
  readonly rounds: number | undefined
  readonly pace: 'full' | 'quick'
  /** Servers to use instead of our own: of PostgreSQL both or none, of MariaDB with `--pairs`. */
  readonly urls: ReadonlyMap<string, string>
  /** Of our own MariaDB: with a binary log, which it has not by default. */
  readonly binlog: 'on' | 'off'
  readonly json: string | undefined
  /** How many transactions a run for growth makes. */
  readonly growth: number
}

type Kind = 'measure' | 'pairs' | 'guarantees' | 'profile' | 'growth'
export type Reading =
  | { readonly kind: Kind; readonly options: BenchOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string }

/** The ladder's names, in lines that fit. */
const STEP_LINES = [0, 5, 9].map((from, at, all) =>
  GUARANTEE_NAMES.slice(from, all[at + 1]).join(', '),
)

const MIXED_LINES = [0, 3].map((from, at, all) => MIXED_NAMES.slice(from, all[at + 1]).join(', '))

export const HELP = `Usage: npm run bench -- [options]

Measures Assent against the same work written by hand, side by side, on two PostgreSQL servers that
it starts itself. Takes about twelve minutes.

  --quick           one minute, for a first look: its figures are rough
  --only A,B        only these contenders, of
                    ${CONTENDER_NAMES.slice(0, 4).join(', ')},
                    ${CONTENDER_NAMES.slice(4).join(', ')}
  --at-once N,N     how many transactions run at the same time, 1 to 64 (default 1,16)
  --round-trip N,N  milliseconds added to each round trip, 0 to 100 (default 0,1,10; 0 with
                    --guarantees)
  --rounds N        how often each contender has its turn, 1 to 100 (default 25 where nothing is
                    added to a round trip, 7 elsewhere)
  --url NAME=URL    a server to use for "orders" or "stock" instead of one of our own; give both. A
                    database of the bench's own is created there and dropped at the end
  --json FILE       writes everything that was measured to this file too
  --guarantees      instead: measures what each guarantee adds to the one before it, switched on one
                    after the other in messages written by hand. --only then takes of
                    ${STEP_LINES.join(',\n                    ')}
  --pairs           instead: measures PostgreSQL and MariaDB beside two servers of PostgreSQL.
                    --only then takes the first five of those above, and of
                    ${MIXED_LINES.join(',\n                    ')};
                    and --url also takes "mariadb"
  --binlog          with --pairs: MariaDB writes a binary log, and forces it
  --profile         instead: runs the first contender given with --only, of any list (default
                    assent-applied), for some seconds, 16 at once, and writes a CPU profile of this
                    process
  --growth N        instead: runs so many transactions with forgetting on, 1,000 to 1,000,000, and
                    prints whether tables, memory or the cost of a transaction grow
  --help            prints this

Exit code: 0 measured, whatever the figures · 1 a contender's result was wrong, or the bench
failed · 2 wrong arguments · 130 interrupted.
`

const ALL_NAMES = Object.keys(CONTENDERS) as readonly ContenderName[]
const FLAGS = ['--quick', '--pairs', '--binlog', '--guarantees', '--profile'] as const
const VALUED = [
  '--growth',
  '--only',
  '--at-once',
  '--round-trip',
  '--rounds',
  '--url',
  '--json',
] as const
type Flag = (typeof FLAGS)[number]
type Valued = (typeof VALUED)[number]

class WrongArgument extends Error {}

export function readArguments(given: readonly string[]): Reading {
  const flags = new Set<Flag>()
  const values = new Map<Valued, string[]>()
  const waiting = given.flatMap(splitAtEquals)
  try {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      if (name === '--help' || name === '-h') return { kind: 'help' }
      if (isOneOf(FLAGS, name)) {
        flags.add(name)
        continue
      }
      if (!isOneOf(VALUED, name)) {
        throw wrong(`unknown argument ${JSON.stringify(name)}; --help lists what there is`)
      }
      const value = waiting.shift()
      if (value === undefined || value === '') throw wrong(`${name} needs a value, and got nothing`)
      values.set(name, [...(values.get(name) ?? []), value])
    }
    const kind = kindOf(flags, values)
    return { kind, options: read(kind, flags, values) }
  } catch (error) {
    if (error instanceof WrongArgument) return { kind: 'wrong', message: error.message }
    throw error
  }
}

function kindOf(flags: ReadonlySet<Flag>, values: ReadonlyMap<Valued, string[]>): Kind {
  if (values.has('--growth')) return 'growth'
  if (flags.has('--profile')) return 'profile'
  if (flags.has('--guarantees')) return 'guarantees'
  return flags.has('--pairs') ? 'pairs' : 'measure'
}

function read(
  kind: Kind,
  flags: ReadonlySet<Flag>,
  values: ReadonlyMap<Valued, string[]>,
): BenchOptions {
  const last = (name: Valued): string | undefined => values.get(name)?.at(-1)
  const rounds = last('--rounds')
  return {
    contenders: readContenders(kind, last('--only')),
    atOnce: readNumbers('--at-once', last('--at-once') ?? '1,16', 1, 64),
    addedMs: readNumbers('--round-trip', last('--round-trip') ?? usualAddedMs(kind), 0, 100),
    rounds: rounds === undefined ? undefined : readNumber('--rounds', rounds, 1, 100),
    pace: flags.has('--quick') ? 'quick' : 'full',
    urls: readUrls(kind, values.get('--url') ?? []),
    binlog: readBinlog(kind, flags),
    json: last('--json'),
    growth: readNumber('--growth', last('--growth') ?? '100000', 1_000, 1_000_000),
  }
}

function readContenders(kind: Kind, text: string | undefined): readonly ContenderName[] {
  const usual = USUAL[kind]
  if (text === undefined) return usual
  // A profile compares nobody: any will do.
  const known = kind === 'profile' ? ALL_NAMES : usual
  return unique(text).map((name) => {
    if (isOneOf(known, name)) return name
    throw wrong(`--only got ${JSON.stringify(name)}; the contenders are ${known.join(', ')}`)
  })
}

const USUAL: Readonly<Record<Kind, readonly ContenderName[]>> = {
  measure: CONTENDER_NAMES,
  pairs: PAIR_NAMES,
  guarantees: GUARANTEE_NAMES,
  profile: CONTENDER_NAMES,
  growth: CONTENDER_NAMES,
}

function readBinlog(kind: Kind, flags: ReadonlySet<Flag>): BenchOptions['binlog'] {
  if (!flags.has('--binlog')) return 'off'
  if (kind !== 'pairs') throw wrong('--binlog is for --pairs: only MariaDB has such a log')
  return 'on'
}

/** Steps of the ladder differ in what their messages say, not in how many there are. */
function usualAddedMs(kind: Kind): string {
  return kind === 'guarantees' ? '0' : '0,1,10'
}

function readNumbers(name: Valued, text: string, least: number, most: number): readonly number[] {
  return unique(text).map((each) => readNumber(name, each, least, most))
}

function readNumber(name: Valued, text: string, least: number, most: number): number {
  const value = Number(text)
  if (/^\d{1,7}$/.test(text) && value >= least && value <= most) return value
  const got = JSON.stringify(text)
  throw wrong(`${name} needs whole numbers from ${least} to ${most}, and got ${got}`)
}

const POSTGRES_URL = /^postgres(ql)?:\/\//
const MYSQL_URL = /^(mysql|mariadb):\/\//

function readUrls(kind: Kind, given: readonly string[]): ReadonlyMap<string, string> {
  const urls = new Map<string, string>()
  for (const each of given) {
    const at = each.indexOf('=')
    const [name, url] = [each.slice(0, Math.max(at, 0)), each.slice(at + 1)]
    if (!isWanted(kind, name, url)) {
      // What was given may hold a password: only its name is said.
      const more = kind === 'pairs' ? ', or mariadb=mysql://…' : ''
      const wanted = `orders=postgresql://… or stock=postgresql://…${more}`
      throw wrong(`--url needs ${wanted}, and got "${name}=…"`)
    }
    urls.set(name, url)
  }
  if (urls.has('orders') !== urls.has('stock')) {
    throw wrong('--url needs both, orders=… and stock=…, and got one')
  }
  return urls
}

function isWanted(kind: Kind, name: string, url: string): boolean {
  if (name === 'mariadb') return kind === 'pairs' && MYSQL_URL.test(url)
  return ['orders', 'stock'].includes(name) && POSTGRES_URL.test(url)
}

function unique(text: string): readonly string[] {
  return [...new Set(text.split(',').map((each) => each.trim()))]
}

/** `--name=value`, but not the `=` inside a value. */
function splitAtEquals(argument: string): readonly string[] {
  const match = /^(--[a-z-]+)=([\s\S]*)$/.exec(argument)
  return match === null ? [argument] : [match[1] ?? '', match[2] ?? '']
}

function isOneOf<T extends string>(names: readonly T[], name: string): name is T {
  return (names as readonly string[]).includes(name)
}

function wrong(message: string): WrongArgument {
  return new WrongArgument(message)
}
