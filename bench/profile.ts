/**
 * A CPU profile of this process while one contender runs, 16 at once.
 *
 * Owns: the file that a browser's developer tools open, and a summary of where the time went.
 */
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import type { Profiler } from 'node:inspector'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { closePools, openPools } from './contender.ts'
import { CONTENDERS } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import { race } from './race.ts'
import type { Stage } from './stage.ts'
import type { Ledger } from './workload.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
const AT_ONCE = 16
const SAMPLE_MICROS = 200
const SHOWN = 25

export interface Profile {
  readonly file: string
  readonly summary: readonly string[]
}

export async function profile(
  name: ContenderName,
  durationMs: number,
  stage: Stage,
  ledger: Ledger,
): Promise<Profile> {
  const { open, writes } = CONTENDERS[name]
  const pools = openPools(stage.urls)
  const runner = open(pools)
  try {
    ledger.add(writes, (await race(runner, AT_ONCE, durationMs / 2)).transactions)
    const session = new Session()
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_MICROS })
    await session.post('Profiler.start')
    const sample = await race(runner, AT_ONCE, durationMs)
    const taken = (await session.post('Profiler.stop')).profile
    session.disconnect()
    ledger.add(writes, sample.transactions)
    await ledger.verify(name)
    const file = path.resolve(`${name}.cpuprofile`)
    writeFileSync(file, JSON.stringify(taken))
    return { file, summary: summarize(taken, sample.transactions) }
  } finally {
    await runner.close()
    await closePools(pools)
  }
}

/** Self times by function, and by where the function is from; in microseconds a transaction. */
function summarize(taken: Profiler.Profile, transactions: number): readonly string[] {
  const functions = new Map<string, number>()
  const places = new Map<string, number>()
  const nodes = new Map(taken.nodes.map((node) => [node.id, node.callFrame]))
  taken.samples?.forEach((id, index) => {
    const frame = nodes.get(id)
    if (frame === undefined || frame.functionName === '(idle)') return
    const micros = (taken.timeDeltas?.[index] ?? 0) / transactions
    const place = placeOf(frame.url)
    const from = place === '' ? '' : ` ${path.basename(frame.url)}:${frame.lineNumber + 1}`
    add(functions, `${frame.functionName || '(anonymous)'}${from}`, micros)
    add(places, place === '' ? 'the engine, garbage collection and system calls' : place, micros)
  })
  return [
    'Time of this thread in µs a transaction, idle time left out. A write to a server on the same',
    'machine often has to let that server run first, which is in its time.',
    ...largest(places, places.size),
    '',
    ...largest(functions, SHOWN),
  ]
}

function placeOf(url: string): string {
  const module = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  if (module !== undefined) return module
  if (url.startsWith('node:')) return 'node'
  if (!url.startsWith('file:')) return ''
  return path.dirname(path.relative(ROOT, fileURLToPath(url)))
}

function add(sums: Map<string, number>, key: string, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value)
}

function largest(sums: ReadonlyMap<string, number>, count: number): readonly string[] {
  return [...sums]
    .sort(([, some], [, others]) => others - some)
    .slice(0, count)
    .map(([name, micros]) => `${micros.toFixed(1).padStart(8)}  ${name}`)
}
