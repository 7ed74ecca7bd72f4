/**
 * Rounds: in each of them every contender has one turn, in an order that is drawn anew.
 *
 * Owns: the turns, and what is measured in one.
 * Promises: in a turn only its contender runs, after a warm-up that isn't measured; afterwards the
 * databases are held to what was answered. Ratios are taken within a round, side by side.
 */
import type { LoopbackServer } from '../harness/loopback-server.ts'
import { CONTENDERS } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import type { Lanes } from './lanes.ts'
import type { Link } from './link.ts'
import type { Race } from './race.ts'
import { shuffled } from './statistics.ts'
import { cpuBetween, readServerCpu } from './server-cpu.ts'
import type { Ledger } from './workload.ts'

/** One turn of one contender. */
export interface Sample extends Race {
  /** Processor time of both servers for each transaction; undefined where it can't be read. */
  readonly serverMicros: number | undefined
}

export type Round = Readonly<Partial<Record<ContenderName, Sample>>>

/** What watches over every turn. */
export interface Umpire {
  readonly ledger: Ledger
  /** Whose processor time is read: ours. */
  readonly servers: readonly LoopbackServer[]
  /** Aborted when the bench is interrupted. */
  readonly signal: AbortSignal
}

export interface Setting {
  readonly addedMs: number
  readonly atOnce: number
  readonly rounds: number
  readonly turnMs: number
}

export interface SettingResult extends Setting {
  /** A round trip of this link, as measured. */
  readonly roundTripMs: number
  readonly results: readonly Round[]
}

const WARM_UP_SHARE = 0.3

/** Rounds that are not counted, before the first setting of a process. */
export interface WarmUp {
  readonly rounds: number
  readonly turnMs: number
}

/** The engine compiles code while it runs hot: so many at once, whatever is measured afterwards. */
const WARM_UP_AT_ONCE = 16

/**
 * Runs everyone until the engine has compiled their code. One that was not run for long enough
 * would be charged for that, and the more code it has, the more.
 */
export async function warmUp(
  { rounds, turnMs }: WarmUp,
  lanes: Lanes,
  link: Pick<Link, 'urls'>,
  umpire: Umpire,
): Promise<void> {
  await lanes.on(link.urls, async () => {
    for (let round = 0; round < rounds; round += 1) {
      await takeTurns(lanes, { atOnce: WARM_UP_AT_ONCE, turnMs }, umpire)
    }
  })
}

export async function measure(
  setting: Setting,
  lanes: Lanes,
  link: Link,
  umpire: Umpire,
): Promise<SettingResult> {
  return lanes.on(link.urls, async () => {
    const results: Round[] = []
    // A round that doesn't count: it opens connections, and has statements parsed on them.
    await takeTurns(lanes, setting, umpire)
    while (results.length < setting.rounds) {
      results.push(await takeTurns(lanes, setting, umpire))
    }
    return { ...setting, roundTripMs: link.roundTripMs, results }
  })
}

async function takeTurns(
  lanes: Lanes,
  setting: Pick<Setting, 'atOnce' | 'turnMs'>,
  umpire: Umpire,
): Promise<Round> {
  const samples: Partial<Record<ContenderName, Sample>> = {}
  for (const name of shuffled(lanes.names)) {
    umpire.signal.throwIfAborted()
    samples[name] = await takeTurn(name, lanes, setting, umpire)
  }
  return samples
}

async function takeTurn(
  name: ContenderName,
  lanes: Lanes,
  { atOnce, turnMs }: Pick<Setting, 'atOnce' | 'turnMs'>,
  { ledger, servers }: Umpire,
): Promise<Sample> {
  const { writes } = CONTENDERS[name]
  ledger.add(writes, (await lanes.race(name, atOnce, turnMs * WARM_UP_SHARE)).transactions)
  const before = readServerCpu(servers)
  const raced = await lanes.race(name, atOnce, turnMs)
  const ofServers = cpuBetween(before, readServerCpu(servers))
  ledger.add(writes, raced.transactions)
  await ledger.verify(name)
  return {
    ...raced,
    serverMicros: ofServers === undefined ? undefined : ofServers / raced.transactions,
  }
}
