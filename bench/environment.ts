/**
 * Owns: what must be known of the machine and the servers to make something of a figure.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import path from 'node:path'
import type pg from 'pg'
import type { Stage } from './stage.ts'
import { quantile } from './statistics.ts'

export interface Environment {
  readonly date: string
  readonly node: string
  readonly driver: string
  readonly postgres: string
  readonly cpus: string
  readonly memoryGiB: number
  /** Over the last minute, when the bench began. */
  readonly load: number
  readonly fsync: string
  readonly settings: Readonly<Record<string, string>>
  readonly disk: Disk | 'not ours to look at'
  /** With `--pairs`. */
  readonly mariadb: MariadbEnvironment | undefined
}

/** The server's version, that of mysql2, and settings by their names. */
export interface MariadbEnvironment {
  readonly version: string
  readonly driver: string
  readonly [setting: string]: string
}

export interface Disk {
  readonly fileSystem: string
  readonly device: string
  readonly syncMicros: { readonly p50: number; readonly p99: number }
}

const SHOWN = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
]
const SYNCS = 2_000
const SYNC_BUDGET_MS = 2_000

export async function lookAround(stage: Stage): Promise<Environment> {
  const [orders, stock] = await Promise.all([
    readSettings(stage.control.orders),
    readSettings(stage.control.stock),
  ])
  const [folder] = stage.servers.map((server) => server.folder)
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' ') + ' UTC',
    node: process.versions.node,
    driver: versionOf('pg'),
    postgres: both(orders['server_version'], stock['server_version']),
    cpus: `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    load: loadavg()[0] ?? NaN,
    fsync: both(orders['fsync'], stock['fsync']),
    settings: Object.fromEntries(SHOWN.map((name) => [name, both(orders[name], stock[name])])),
    disk: folder === undefined ? 'not ours to look at' : lookAtDisk(folder),
    mariadb: await lookAtMariadb(stage),
  }
}

async function lookAtMariadb({ mariadb }: Stage): Promise<MariadbEnvironment | undefined> {
  if (mariadb === undefined) return undefined
  const { version = 'unknown', ...settings } = await mariadb.settings()
  return {
    version: /^[0-9.]*[0-9]/.exec(version)?.[0] ?? version,
    driver: versionOf('mysql2'),
    ...settings,
  }
}

function versionOf(driver: string): string {
  const { version } = createRequire(import.meta.url)(`${driver}/package.json`) as {
    version: string
  }
  return version
}

async function readSettings(database: pg.Pool): Promise<Readonly<Record<string, string>>> {
  const names = ['server_version', ...SHOWN]
  const text = 'select name, current_setting(name) as value from unnest($1::text[]) as name'
  const { rows } = await database.query<{ name: string; value: string }>(text, [names])
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}

function both(orders = 'unknown', stock = 'unknown'): string {
  return orders === stock ? orders : `${orders} (orders), ${stock} (stock)`
}

function lookAtDisk(folder: string): Disk {
  const { fileSystem, device } = mountOf(folder)
  return { fileSystem, device, syncMicros: measureSync(folder) }
}

/** The mount with the longest path above the folder; on systems without /proc it isn't known. */
function mountOf(folder: string): { readonly fileSystem: string; readonly device: string } {
  const unknown = { fileSystem: 'unknown', device: 'unknown' }
  if (!existsSync('/proc/mounts')) return unknown
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, point = '/none']) => !path.relative(point, folder).startsWith('..'))
    .sort(([, some = ''], [, other = '']) => other.length - some.length)
  const [device = 'unknown', , fileSystem = 'unknown'] = mounts[0] ?? []
  return { fileSystem, device }
}

/** One page written over and over and forced, as a log is. */
function measureSync(folder: string): Disk['syncMicros'] {
  const file = path.join(folder, 'sync-probe')
  const descriptor = openSync(file, 'w')
  const page = Buffer.alloc(8_192, 1)
  const times: number[] = []
  try {
    const begun = performance.now()
    while (times.length < SYNCS && performance.now() - begun < SYNC_BUDGET_MS) {
      const start = performance.now()
      writeSync(descriptor, page, 0, page.length, 0)
      fdatasyncSync(descriptor)
      times.push((performance.now() - start) * 1_000)
    }
  } finally {
    closeSync(descriptor)
    rmSync(file)
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}
