/**
 * Whether anything grows: many transactions through one pair of databases, with forgetting on.
 *
 * Owns: the run, and what is read every so often: the size of Assent's tables, their rows, the
 * process's memory, and what a transaction costs.
 * Promises: the retention is as short as it may be, so that a run of minutes spans many of them.
 */
import type pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { closePools, openPools } from './contender.ts'
import type { Stage } from './stage.ts'
import { transferWork } from './workload.ts'

const RETENTION_MS = 10_000
/** What is a day by default is ten seconds here: autovacuum must come around as much more often. */
export const GROWTH_SETTINGS: Readonly<Record<string, string>> = { autovacuum_naptime: '1s' }
const AT_ONCE = 16
/** Rows of the table that is printed. */
const READINGS = 20

export interface GrowthReading {
  readonly transactions: number
  readonly seconds: number
  /** Of both databases together. */
  readonly marks: number
  readonly markBytes: number
  readonly epochs: number
  readonly heapBytes: number
  /** Since the reading before. */
  readonly perSecond: number
  readonly clientMicros: number
}

export async function measureGrowth(
  transactions: number,
  stage: Stage,
  signal: AbortSignal,
  say: (reading: GrowthReading) => void,
): Promise<readonly GrowthReading[]> {
  const pools = openPools(stage.urls)
  const reports: string[] = []
  const assent = createAssent({
    app: 'growth',
    participants: { orders: participant(pools.orders), stock: participant(pools.stock) },
    retentionMs: RETENTION_MS,
    // An epoch that is opened between BEGIN and claim is no reason to lose a transfer.
    retry: { attempts: 5 },
    onReport: (report) => reports.push(report.type),
  })
  const transfer = (): Promise<void> => {
    const work = transferWork()
    return assent.transaction(async ({ orders, stock }) => {
      await orders.query(work.orders)
      await stock.query(work.stock)
    })
  }
  try {
    const readings: GrowthReading[] = []
    const beganAt = performance.now()
    for (let reading = 1; reading <= READINGS; reading += 1) {
      signal.throwIfAborted()
      const before = { at: performance.now(), cpu: process.cpuUsage() }
      const portion = Math.ceil(transactions / READINGS)
      await runMany(portion, transfer)
      const seconds = (performance.now() - before.at) / 1_000
      const cpu = process.cpuUsage(before.cpu)
      const tables = await readTables(stage.control)
      const taken: GrowthReading = {
        transactions: reading * portion,
        seconds: (performance.now() - beganAt) / 1_000,
        ...tables,
        heapBytes: process.memoryUsage().heapUsed,
        perSecond: portion / seconds,
        clientMicros: (cpu.user + cpu.system) / portion,
      }
      readings.push(taken)
      say(taken)
    }
    const alarms = reports.filter((type) => type !== 'recovered')
    if (alarms.length > 0) throw new Error(`reported meanwhile: ${[...new Set(alarms)].join(', ')}`)
    return readings
  } finally {
    await assent.close()
    await closePools(pools)
  }
}

async function runMany(count: number, run: () => Promise<void>): Promise<void> {
  let left = count
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await run()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

type Tables = Pick<GrowthReading, 'marks' | 'markBytes' | 'epochs'>

async function readTables(control: Stage['control']): Promise<Tables> {
  const both = await Promise.all([readDatabase(control.orders), readDatabase(control.stock)])
  const sum = (pick: (tables: Tables) => number): number =>
    both.reduce((total, tables) => total + pick(tables), 0)
  return {
    marks: sum(({ marks }) => marks),
    markBytes: sum(({ markBytes }) => markBytes),
    epochs: sum(({ epochs }) => epochs),
  }
}

async function readDatabase(database: pg.Pool): Promise<Tables> {
  const { rows } = await database.query<{ marks: string; bytes: string; epochs: string }>(
    `select (select count(*) from assent.mark) as marks,
       pg_total_relation_size('assent.mark') as bytes,
       (select count(*) from assent.epoch) as epochs`,
  )
  const [row] = rows
  return {
    marks: Number(row?.marks),
    markBytes: Number(row?.bytes),
    epochs: Number(row?.epochs),
  }
}

export function printGrowth(reading: GrowthReading): string {
  const { transactions, seconds, marks, markBytes, epochs, heapBytes } = reading
  const megabytes = (bytes: number): string => (bytes / 1_048_576).toFixed(1)
  return [
    transactions.toLocaleString('en').padStart(12),
    seconds.toFixed(0).padStart(6),
    marks.toLocaleString('en').padStart(9),
    megabytes(markBytes).padStart(9),
    String(epochs).padStart(7),
    megabytes(heapBytes).padStart(8),
    reading.perSecond.toFixed(0).padStart(7),
    reading.clientMicros.toFixed(0).padStart(10),
  ].join('')
}

export const GROWTH_HEADER =
  'transactions     s    marks   MB disk  epochs MB heap   tx/s client µs'
