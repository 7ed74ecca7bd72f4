/**
 * The way to the databases: direct, or through proxies that add to each round trip.
 *
 * Owns: the proxies' process, and measuring what a round trip really takes.
 */
import pg from 'pg'
import { startChild } from './child-process.ts'
import type { DelayOrder } from './delay/delay-process.ts'
import { median } from './statistics.ts'
import type { Urls } from './workload.ts'

export interface Link {
  readonly urls: Urls
  /** The median of `SELECT 1`, on `orders`. */
  readonly roundTripMs: number
  close(): Promise<void>
}

const PROBES = 200

export async function openLink(urls: Urls, addedMs: number): Promise<Link> {
  const directMs = await roundTripMs(urls.orders)
  if (addedMs === 0) return { urls, roundTripMs: directMs, close: () => Promise.resolve() }
  for (const url of urlsIn(urls)) requireLoopback(url)
  // What the proxies take by themselves belongs to what is added: measured, and taken off.
  const rough = await openProxies(urls, addedMs / 2)
  await rough.close()
  const excessMs = rough.roundTripMs - directMs - addedMs
  return openProxies(urls, Math.max(0, (addedMs - excessMs) / 2))
}

async function openProxies(urls: Urls, delayMs: number): Promise<Link> {
  const { orders, stock, mariadb } = urls
  const ports = { orders: portOf(orders), stock: portOf(stock) }
  const order: DelayOrder = {
    ports: mariadb === undefined ? ports : { ...ports, mariadb: portOf(mariadb) },
    delayMs,
  }
  const child = startChild('./delay/delay-process.ts', order)
  try {
    const listening = JSON.parse(await child.line()) as Readonly<Record<keyof Urls, number>>
    const through = {
      orders: withPort(orders, listening.orders),
      stock: withPort(stock, listening.stock),
      ...(mariadb === undefined ? {} : { mariadb: withPort(mariadb, listening.mariadb) }),
    }
    const close = (): Promise<void> => child.end()
    return { urls: through, roundTripMs: await roundTripMs(through.orders), close }
  } catch (error) {
    await child.end()
    throw error
  }
}

async function roundTripMs(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const times: number[] = []
    for (let probe = 0; probe < PROBES; probe += 1) {
      const begun = performance.now()
      await client.query('select 1')
      times.push(performance.now() - begun)
    }
    return median(times)
  } finally {
    await client.end()
  }
}

function urlsIn({ orders, stock, mariadb }: Urls): readonly string[] {
  return [orders, stock, ...(mariadb === undefined ? [] : [mariadb])]
}

export function portOf(url: string): number {
  const { port, protocol } = new URL(url)
  return Number(port || (protocol === 'mysql:' ? '3306' : '5432'))
}

function requireLoopback(url: string): void {
  const { hostname } = new URL(url)
  if (['127.0.0.1', 'localhost'].includes(hostname)) return
  throw new Error(`nothing can be added to the round trip to ${hostname}: use --round-trip 0`)
}

function withPort(url: string, port: number): string {
  const changed = new URL(url)
  changed.hostname = '127.0.0.1'
  changed.port = String(port)
  return changed.href
}
