/**
 * `npm run bench` itself: everything that is measured, in its order.
 *
 * Owns: how long each part takes, and what is printed when.
 * Promises: servers and processes that it started are gone when it ends, however it ends.
 */
import { writeFileSync } from 'node:fs'
import { CONTENDERS, CONTENDER_NAMES, GUARANTEE_NAMES, PAIR_NAMES } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import { count } from './counters.ts'
import type { Counts } from './counters.ts'
import { lookAround } from './environment.ts'
import { judge } from './goals.ts'
import { GROWTH_HEADER, GROWTH_SETTINGS, measureGrowth, printGrowth } from './growth.ts'
import { printLadder } from './guarantees/table.ts'
import { measureIdle } from './idle.ts'
import type { Idle } from './idle.ts'
import { Lanes } from './lanes.ts'
import { openLink } from './link.ts'
import type { BenchOptions } from './options.ts'
import { profile } from './profile.ts'
import type { Results } from './results.ts'
import { measure, warmUp } from './rounds.ts'
import type { SettingResult } from './rounds.ts'
import { Stage } from './stage.ts'
import { printCounts, printEnvironment, printGoals, printSetting } from './table.ts'
import { Ledger } from './workload.ts'

const PACES = {
  full: {
    // Twenty seconds for each contender, with what each turn begins with.
    warmUp: { rounds: 20, turnMs: 800 },
    // Short turns and many rounds: contenders that are compared run close together in time.
    turnMs: 600,
    rounds: { near: 25, far: 7 },
    counted: 300,
    idle: { warmUpMs: 5_000, windowMs: 25_000 },
    profileMs: 10_000,
  },
  quick: {
    warmUp: { rounds: 2, turnMs: 500 },
    turnMs: 250,
    rounds: { near: 3, far: 1 },
    counted: 100,
    idle: { warmUpMs: 1_000, windowMs: 4_000 },
    profileMs: 2_000,
  },
} as const

export type Print = (line?: string) => void

export async function run(options: BenchOptions, signal: AbortSignal, print: Print): Promise<void> {
  const stage = await Stage.open(options.urls)
  try {
    const printed = (setting: SettingResult) => printSetting(setting, CONTENDER_NAMES)
    const way = { order: CONTENDER_NAMES, printed }
    const measured = await measureOn(stage, options, way, signal, print)
    const idle = await idleOf(options, stage, PACES[options.pace].idle)
    const results: Results = { ...measured, idle }
    say(print, printGoals(results))
    conclude(options, { ...results, goals: judge(results) }, print)
  } finally {
    await stage.close()
  }
}

export async function runPairs(
  options: BenchOptions,
  signal: AbortSignal,
  print: Print,
): Promise<void> {
  const printed = (setting: SettingResult) => printSetting(setting, PAIR_NAMES)
  const stage = await Stage.openPairs(options.urls, options.binlog)
  await compareOn(stage, options, { order: PAIR_NAMES, printed }, signal, print)
}

export async function runGuarantees(
  options: BenchOptions,
  signal: AbortSignal,
  print: Print,
): Promise<void> {
  const stage = await Stage.open(options.urls)
  await compareOn(stage, options, { order: GUARANTEE_NAMES, printed: printLadder }, signal, print)
}

/** Everything that is measured, and no goals. Closes the stage. */
async function compareOn(
  stage: Stage,
  options: BenchOptions,
  way: Way,
  signal: AbortSignal,
  print: Print,
): Promise<void> {
  try {
    conclude(options, await measureOn(stage, options, way, signal, print), print)
  } finally {
    await stage.close()
  }
}

export async function runProfile(options: BenchOptions, print: Print): Promise<void> {
  const [first] = options.contenders
  const isChosen = options.contenders.length < CONTENDER_NAMES.length
  const name = isChosen && first !== undefined ? first : 'assent-applied'
  const isMixed = CONTENDERS[name].writes === 'PostgreSQL and MariaDB'
  const stage = isMixed
    ? await Stage.openPairs(options.urls, options.binlog)
    : await Stage.open(options.urls)
  try {
    for (const line of printEnvironment(await lookAround(stage))) print(line)
    const ledger = new Ledger(stage)
    const taken = await profile(name, PACES[options.pace].profileMs, stage, ledger)
    print(`\n${CONTENDERS[name].title}, 16 at once`)
    for (const line of taken.summary) print(line)
    print(`\nThe profile is in ${taken.file}`)
  } finally {
    await stage.close()
  }
}

export async function runGrowth(
  options: BenchOptions,
  signal: AbortSignal,
  print: Print,
): Promise<void> {
  const stage = await Stage.open(options.urls, GROWTH_SETTINGS)
  try {
    for (const line of printEnvironment(await lookAround(stage))) print(line)
    print(`\n${GROWTH_HEADER}`)
    const readings = await measureGrowth(options.growth, stage, signal, (reading) => {
      print(printGrowth(reading))
    })
    if (options.json !== undefined) {
      writeFileSync(options.json, `${JSON.stringify(readings, undefined, 2)}\n`)
    }
  } finally {
    await stage.close()
  }
}

/** In what order contenders are printed, and how. */
interface Way {
  readonly order: readonly ContenderName[]
  readonly printed: (setting: SettingResult) => readonly string[]
}

/** Counts, then measures in every setting, and prints each as soon as it is there. */
async function measureOn(
  stage: Stage,
  options: BenchOptions,
  { order, printed }: Way,
  signal: AbortSignal,
  print: Print,
): Promise<Omit<Results, 'idle'>> {
  const environment = await lookAround(stage)
  say(print, printEnvironment(environment))
  const ledger = new Ledger(stage)
  const counts = await countAll(options, stage, ledger, signal)
  say(print, printCounts(counts, order))
  const settings: SettingResult[] = []
  for await (const result of measureAll(options, stage, ledger, signal)) {
    settings.push(result)
    say(print, printed(result))
  }
  return { environment, counts, settings }
}

function say(print: Print, lines: readonly string[]): void {
  for (const line of lines) print(line)
  print()
}

function conclude(options: BenchOptions, everything: object, print: Print): void {
  const isComplete = options.pace === 'full' ? '' : ' --quick: the figures are rough.'
  print(`After every turn the databases agreed with what was answered.${isComplete}`)
  if (options.json === undefined) return
  writeFileSync(options.json, `${JSON.stringify(everything, undefined, 2)}\n`)
  print(`Everything that was measured is in ${options.json}`)
}

async function countAll(
  options: BenchOptions,
  stage: Stage,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<Results['counts']> {
  const counts: Partial<Record<ContenderName, Counts>> = {}
  for (const name of options.contenders) {
    signal.throwIfAborted()
    counts[name] = await count(name, PACES[options.pace].counted, stage, ledger)
  }
  return counts
}

/** What is near comes first: the machine's load was looked at moments before. */
async function* measureAll(
  options: BenchOptions,
  stage: Stage,
  ledger: Ledger,
  signal: AbortSignal,
): AsyncGenerator<SettingResult> {
  const { turnMs, rounds, ...pace } = PACES[options.pace]
  const umpire = { ledger, signal, servers: stage.servers }
  const lanes = new Lanes(options.contenders)
  try {
    await warmUp(pace.warmUp, lanes, stage, umpire)
    for (const addedMs of options.addedMs) {
      const link = await openLink(stage.urls, addedMs)
      try {
        for (const atOnce of options.atOnce) {
          const usual = addedMs === 0 ? rounds.near : rounds.far
          const setting = { addedMs, atOnce, turnMs, rounds: options.rounds ?? usual }
          yield await measure(setting, lanes, link, umpire)
        }
      } finally {
        await link.close()
      }
    }
  } finally {
    await lanes.end()
  }
}

/** Only Assent has something to do while idle. */
async function idleOf(
  options: BenchOptions,
  stage: Stage,
  times: { readonly warmUpMs: number; readonly windowMs: number },
): Promise<Idle | undefined> {
  if (!options.contenders.some((name) => name.startsWith('assent-'))) return undefined
  return measureIdle(stage, times)
}
