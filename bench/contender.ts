/**
 * What a contender is, and what all of them share: pools of one size, and how Assent is opened.
 *
 * Promises: Assent runs as it is configured by default, its scans included.
 */
import mysql from 'mysql2/promise'
import pg from 'pg'
import { pg as participant } from 'assent/pg'
import type { ContenderName } from './contenders.ts'
import type { Pools } from './rivals/with-client.ts'
import type { Urls, Writes } from './workload.ts'

/** More than run at the same time: a branch that is applied in the background has its connection. */
export const POOL_SIZE = 20
/** What the pools' connections are called, and Assent's own beside them. */
export const POOL_APPLICATION = 'bench'
const OWN_APPLICATION = 'bench-recovery'

/** A contender in its lane: makes one transaction whenever it is told to. */
export interface Runner {
  run(): Promise<void>
  /** Resolves once nothing of it is under way any more. */
  close(): Promise<void>
}

export interface Contender {
  readonly title: string
  readonly writes: Writes
  /** Whose figures its own are divided by. */
  readonly base: ContenderName
  readonly open: (pools: LanePools) => Runner
}

export interface LanePools extends Pools {
  readonly mariadb?: mysql.Pool
}

export function openPools(urls: Urls): LanePools {
  const pool = (connectionString: string): pg.Pool => {
    const made = new pg.Pool({
      connectionString,
      max: POOL_SIZE,
      application_name: POOL_APPLICATION,
      idleTimeoutMillis: 0,
    })
    // That an idle connection broke is no event: its next use is.
    made.on('error', () => undefined)
    return made
  }
  const both = { orders: pool(urls.orders), stock: pool(urls.stock) }
  if (urls.mariadb === undefined) return both
  const mariadb = mysql.createPool({ uri: urls.mariadb, connectionLimit: POOL_SIZE })
  return { ...both, mariadb }
}

export async function closePools(pools: LanePools): Promise<void> {
  await Promise.all([pools.orders.end(), pools.stock.end(), pools.mariadb?.end()])
}

export function rival(run: () => Promise<void>): Runner {
  return { run, close: () => Promise.resolve() }
}

/** Told apart on the wire by their name; otherwise its connections are as Assent makes them by default. */
export function participantOf(pool: pg.Pool) {
  const { connectionString } = pool.options
  return participant(pool, { recovery: { connectionString, application_name: OWN_APPLICATION } })
}
