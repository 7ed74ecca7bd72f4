/**
 * `assent demo`: on databases of your own, processes that are killed leave nothing behind.
 *
 * Promises: touches nothing but two tables of its own and Assent's; drops its own if everything agrees, and
 * leaves them to be looked at if not. Refuses where they are there already.
 */
import { nodeWorld } from '../../platform/node-world.ts'
import { warnOf } from '../../engine/index.ts'
import type { Operator } from '../../engine/index.ts'
import { operatorOf, readUrls } from '../configuration.ts'
import { Coins } from '../demo/coins.ts'
import type { Shown } from '../demo/coins.ts'
import { Crew } from '../demo/crew.ts'
import { judge } from '../demo/verdict.ts'
import type { Verdict } from '../demo/verdict.ts'
import { CommandError } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import { openUrl } from '../participants.ts'
import type { OpenedUrl, UrlParticipant } from '../participants.ts'
import { readDuration } from '../read-duration.ts'
import { sayFor } from '../session.ts'
import type { CommonFlags, Say } from '../session.ts'
import { messageOf } from '../words.ts'

export interface DemoFlags extends CommonFlags {
  readonly time: string
  readonly workers: string
}

const APP = 'assent-demo'
const MOST_WORKERS = 16
const DRAIN_MS = 60_000
/** What is on its way to a server has arrived by then. */
const LATE_MS = 1_000
/** Disagreements that are told one by one. */
const MOST_TOLD = 20
/** Between two lines that say how far it is. */
const TELL_MS = 5_000

export async function demo(flags: DemoFlags): Promise<ExitName> {
  const ms = readDuration('--time', flags.time)
  const workers = readWorkers(flags.workers)
  const urls = urlsOf(flags)
  const app = flags.app ?? APP
  const opened = await open(urls)
  const definitions = [...opened].map(([name, { definition }]) => [name, definition] as const)
  const operator = operatorOf({ app, participants: Object.fromEntries(definitions) })
  try {
    return await run({ app, urls, opened, operator, ms, workers, say: sayFor(flags) })
  } finally {
    await operator.close()
    await Promise.all([...opened.values()].map(({ pool }) => pool.end()))
  }
}

interface Facts {
  readonly app: string
  readonly urls: Readonly<Record<string, UrlParticipant>>
  readonly opened: ReadonlyMap<string, OpenedUrl>
  readonly operator: Operator
  readonly ms: number
  readonly workers: number
  readonly say: Say
}

async function run(facts: Facts): Promise<ExitName> {
  const { opened, say, ms, workers } = facts
  const coins = new Map([...opened].map(([name, { pool }]) => [name, new Coins(pool)]))
  await makeAll(coins)
  const places = [...opened].map(([name, { system }]) => `${name} (${system})`).join(', ')
  say.text(
    `Moves coins between ${places} for ${ms / 1_000} s, in ${workers} processes that are killed at random.\n`,
  )
  const crew = new Crew({ app: facts.app, participants: facts.urls, folder: process.cwd() })
  try {
    await firstMove(crew)
    crew.begin(workers - 1)
    await wait(ms, crew, () => {
      say.text(`  ${crew.count('committed')} moved, ${crew.killed.all} processes killed\n`)
    })
  } catch (error) {
    await crew.end()
    await clearAway(facts, coins)
    throw error
  }
  await crew.end()
  return settle(facts, coins, crew)
}

/** After what went wrong, which is what is to be told. */
async function clearAway(
  { app, operator, say }: Facts,
  coins: ReadonlyMap<string, Coins>,
): Promise<void> {
  const drained = await drain(operator).catch(() => undefined)
  if (drained?.isDrained === true && (await dropAll(coins).then(isDone, isNotDone))) return
  say.warn(`its tables are left, and maybe something prepared: assent drain --app ${app}`)
}

const isDone = (): boolean => true
const isNotDone = (): boolean => false

/**
 * A DROP would wait for what is prepared. Twice: what a killed process had sent may be prepared behind
 * the first look.
 */
async function drain(operator: Operator): Promise<Drained> {
  const first = await operator.drain(DRAIN_MS)
  await nodeWorld.sleep(LATE_MS)
  const last = await operator.drain(DRAIN_MS)
  return {
    isDrained: last.drained !== 'time is over',
    ended: first.ended.length + last.ended.length,
    alarms: [...first.alarms, ...last.alarms].map((alarm) => warnOf(alarm) ?? alarm.type),
  }
}

interface Drained {
  readonly isDrained: boolean
  readonly ended: number
  readonly alarms: readonly string[]
}

/** Recovers what the last ones left, and compares. */
async function settle(
  { app, operator, say }: Facts,
  coins: ReadonlyMap<string, Coins>,
  crew: Crew,
): Promise<ExitName> {
  const { isDrained, ended, alarms } = await drain(operator)
  if (!isDrained) {
    say.warn(`not drained within ${DRAIN_MS / 1_000} s: see assent list --app ${app}`)
    return 'stays'
  }
  const shown = new Map<string, Shown>()
  for (const [name, each] of coins) shown.set(name, await each.show())
  const verdict = judge(shown, crew.told, coins.size * Coins.perDatabase)
  const wrong = [...verdict.disagreements, ...crew.troubles, ...alarms]
  tell(say, crew, { ...verdict, disagreements: wrong }, ended)
  if (wrong.length > 0) return 'alarm'
  await dropAll(coins)
  return 'ok'
}

function tell(say: Say, crew: Crew, verdict: Verdict, endedLast: number): void {
  const { moved, coinsBefore, coinsAfter, disagreements } = verdict
  const told = {
    committed: crew.count('committed'),
    aborted: crew.count('aborted'),
    unknown: crew.count('unknown'),
    nothing: crew.count('nothing'),
  }
  say.json({ told, killed: crew.killed, endedLast, ...verdict })
  say.text(
    `told: ${told.committed} committed, ${told.aborted} aborted, ${told.unknown} unknown, ` +
      `${told.nothing} nothing, since their process was killed\n` +
      `killed: ${crew.killed.all} processes, ${crew.killed.busy} with a transaction under way; ` +
      `the last ones left ${endedLast} branches, now ended\n` +
      `${coinsBefore} coins are ${coinsAfter}, and ${moved} transfers are in both of their databases\n`,
  )
  for (const each of disagreements.slice(0, MOST_TOLD)) say.warn(each)
  say.text(
    disagreements.length > 0
      ? `Not as it should be: ${disagreements.length}. The tables assent_demo_accounts and assent_demo_moves are left there.\n`
      : crew.killed.busy > 0
        ? 'Nothing disagrees.\n'
        : 'Nothing disagrees; but no process was killed with a transaction under way.\n',
  )
}

/** @throws CommandError with the reason why nothing can be moved */
async function firstMove(crew: Crew): Promise<void> {
  const first = await crew.firstEnd()
  if (first.outcome === 'committed') return
  const why = (first.message ?? '').replace(/\.$/, '')
  throw new CommandError('refused', `nothing could be moved: ${why}. assent doctor says more`)
}

/** In all of them, or in none. @throws CommandError */
async function makeAll(coins: ReadonlyMap<string, Coins>): Promise<void> {
  const made = new Map<string, Coins>()
  try {
    for (const [name, each] of coins) {
      await make(name, each)
      made.set(name, each)
    }
  } catch (error) {
    await dropAll(made)
    throw error
  }
}

async function make(name: string, coins: Coins): Promise<void> {
  if (await coins.areThere().catch(failing('unreachable', name))) {
    throw new CommandError(
      'refused',
      `${name} has tables of this name already. If an earlier demo left them there: ` +
        'DROP TABLE assent_demo_accounts, assent_demo_moves',
    )
  }
  await coins.make().catch(failing('refused', name))
}

function failing(exit: ExitName, name: string): (error: unknown) => never {
  return (error) => {
    throw new CommandError(exit, `${name}: ${messageOf(error)}`)
  }
}

async function dropAll(coins: ReadonlyMap<string, Coins>): Promise<void> {
  await Promise.all([...coins.values()].map((each) => each.drop()))
}

/** For so long, or until somebody interrupts it. */
async function wait(ms: number, crew: Crew, tellNow: () => void): Promise<void> {
  const interrupted = new AbortController()
  const onInterrupt = (): void => {
    crew.interrupted()
    interrupted.abort()
  }
  // Until the end: some that run us pass on what the terminal has sent us already.
  process.on('SIGINT', onInterrupt)
  const telling = setInterval(tellNow, TELL_MS)
  await nodeWorld.sleep(ms, interrupted.signal)
  clearInterval(telling)
}

/** @throws CommandError */
function urlsOf({ config, participant, schema }: DemoFlags): Facts['urls'] {
  if (config !== undefined || participant === undefined || participant.length < 2) {
    throw new CommandError(
      'usage',
      'demo takes no configuration, but two databases or more: --participant NAME=URL --participant NAME=URL',
    )
  }
  return readUrls(participant, schema)
}

async function open(urls: Facts['urls']): Promise<Facts['opened']> {
  const opened = new Map<string, OpenedUrl>()
  for (const [name, given] of Object.entries(urls)) {
    opened.set(name, await openUrl(name, given, process.cwd()))
  }
  return opened
}

function readWorkers(text: string): number {
  const workers = Number(text)
  if (Number.isInteger(workers) && workers >= 1 && workers <= MOST_WORKERS) return workers
  throw new CommandError(
    'usage',
    `--workers ${JSON.stringify(text.slice(0, 40))} was given; expected 1 to ${MOST_WORKERS}`,
  )
}
