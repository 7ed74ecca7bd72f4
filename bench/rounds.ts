/**
 * Rounds: in each of them every contender has one turn, in an order that is drawn anew.
 *
 * Owns: the turns, and what is measured in one.
 * Promises: in a turn only its contender runs, after a warm-up that isn't measured; afterwards the
 * databases are held to what was answered. Ratios are taken within a round, side by side.
 */
import type { PostgresServer } from '../harness/postgres-server.ts'
import { CONTENDERS, closePools, openPools } from './contenders.ts'
import type { ContenderName, Runner } from './contenders.ts'
import type { Link } from './link.ts'
import type { Pools } from './rivals/with-client.ts'
import { quantile, shuffled } from './statistics.ts'
import { cpuBetween, readServerCpu } from './server-cpu.ts'
import type { Ledger } from './workload.ts'

/** One turn of one contender. */
export interface Sample {
  readonly transactions: number
  /** Transactions answered in a second. */
  readonly throughput: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor time of this process for each transaction, of all its threads. */
  readonly clientMicros: number
  /** The same of both servers; undefined where it can't be read. */
  readonly serverMicros: number | undefined
}

export type Round = Readonly<Partial<Record<ContenderName, Sample>>>

/** What watches over every turn. */
export interface Umpire {
  readonly ledger: Ledger
  /** Whose processor time is read: ours. */
  readonly servers: readonly PostgresServer[]
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
  names: readonly ContenderName[],
  link: Pick<Link, 'urls'>,
  umpire: Umpire,
): Promise<void> {
  await withLanes(names, link, async (lanes) => {
    for (let round = 0; round < rounds; round += 1) {
      await takeTurns(lanes, { atOnce: WARM_UP_AT_ONCE, turnMs }, umpire)
    }
  })
}

export async function measure(
  setting: Setting,
  names: readonly ContenderName[],
  link: Link,
  umpire: Umpire,
): Promise<SettingResult> {
  return withLanes(names, link, async (lanes) => {
    const results: Round[] = []
    // A round that doesn't count: it opens connections, and has statements parsed on them.
    await takeTurns(lanes, setting, umpire)
    while (results.length < setting.rounds) {
      results.push(await takeTurns(lanes, setting, umpire))
    }
    return { ...setting, roundTripMs: link.roundTripMs, results }
  })
}

/** A contender with its connections, open for all of its turns: as in a program that runs for long. */
interface Lane {
  readonly pools: Pools
  readonly runner: Runner
}

async function withLanes<T>(
  names: readonly ContenderName[],
  link: Pick<Link, 'urls'>,
  use: (lanes: ReadonlyMap<ContenderName, Lane>) => Promise<T>,
): Promise<T> {
  const lanes = new Map(names.map((name) => [name, openLane(name, link)] as const))
  try {
    return await use(lanes)
  } finally {
    await Promise.all([...lanes.values()].map(closeLane))
  }
}

function openLane(name: ContenderName, link: Pick<Link, 'urls'>): Lane {
  const pools = openPools(link.urls)
  return { pools, runner: CONTENDERS[name].open(pools) }
}

async function closeLane({ pools, runner }: Lane): Promise<void> {
  await runner.close()
  await closePools(pools)
}

async function takeTurns(
  lanes: ReadonlyMap<ContenderName, Lane>,
  setting: Pick<Setting, 'atOnce' | 'turnMs'>,
  umpire: Umpire,
): Promise<Round> {
  const samples: Partial<Record<ContenderName, Sample>> = {}
  for (const [name, { runner }] of shuffled([...lanes])) {
    umpire.signal.throwIfAborted()
    samples[name] = await takeTurn(name, runner, setting, umpire)
  }
  return samples
}

async function takeTurn(
  name: ContenderName,
  runner: Runner,
  { atOnce, turnMs }: Pick<Setting, 'atOnce' | 'turnMs'>,
  { ledger, servers }: Umpire,
): Promise<Sample> {
  const { writes } = CONTENDERS[name]
  ledger.add(writes, (await race(runner, atOnce, turnMs * WARM_UP_SHARE)).transactions)
  const sample = await race(runner, atOnce, turnMs, servers)
  ledger.add(writes, sample.transactions)
  await ledger.verify(name)
  return sample
}

/** Keeps `atOnce` transactions under way for `durationMs`, and waits for the last answers. */
export async function race(
  runner: Runner,
  atOnce: number,
  durationMs: number,
  servers: readonly PostgresServer[] = [],
): Promise<Sample> {
  const latencies: number[] = []
  const serversBefore = readServerCpu(servers)
  const before = process.cpuUsage()
  const begun = performance.now()
  const repeat = async (): Promise<void> => {
    for (let start = performance.now(); start - begun < durationMs;) {
      await runner.run()
      const end = performance.now()
      latencies.push(end - start)
      start = end
    }
  }
  await Promise.all(Array.from({ length: atOnce }, repeat))
  const seconds = (performance.now() - begun) / 1_000
  const { user, system } = process.cpuUsage(before)
  const ofServers = cpuBetween(serversBefore, readServerCpu(servers))
  return {
    transactions: latencies.length,
    throughput: latencies.length / seconds,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    clientMicros: (user + system) / latencies.length,
    serverMicros: ofServers === undefined ? undefined : ofServers / latencies.length,
  }
}
