/**
 * Many transactions of one contender at once, for a while.
 *
 * Owns: what the process that runs them can measure.
 */
import type { Runner } from './contender.ts'
import { quantile } from './statistics.ts'

export interface Race {
  readonly transactions: number
  /** Transactions answered in a second. */
  readonly throughput: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor time of this process for each transaction, of all its threads. */
  readonly clientMicros: number
}

/** Keeps `atOnce` transactions under way for `durationMs`, and waits for the last answers. */
export async function race(runner: Runner, atOnce: number, durationMs: number): Promise<Race> {
  const latencies: number[] = []
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
  return {
    transactions: latencies.length,
    throughput: latencies.length / seconds,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    clientMicros: (user + system) / latencies.length,
  }
}
