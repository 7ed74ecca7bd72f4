/**
 * Owns: how a process of a crash test reaches a participant: a pool of its system's driver, Assent's
 * participant over it, and the statements of the transaction in that system's SQL.
 */
import mysql from 'mysql2/promise'
import pg from 'pg'
import type { ParticipantDefinition } from 'assent'
import { mysql2 } from 'assent/mysql2'
import { pg as postgres } from 'assent/pg'
import { killableMysqlStream, killableStream } from '../../harness/killable-stream.ts'
import type { KillPoints } from '../../harness/killable-stream.ts'
import { MYSQL_WIRE } from '../../harness/mysql-frames.ts'
import type { System } from './crash-database.ts'

/** What both drivers' handles can do. */
export interface ItemHandle {
  query(text: string, values: readonly unknown[]): Promise<unknown>
}

export type Definition = ParticipantDefinition<ItemHandle>

export interface Reached {
  readonly name: string
  readonly definition: Definition
  readonly take: string
  readonly look: string
  end(): Promise<void>
}

export interface Way {
  readonly name: string
  readonly system: System
  readonly url: string
  /** For recovery. MariaDB's takes the pool's way. */
  readonly recoveryUrl?: string
  readonly application?: string
  readonly max?: number
  readonly killAt?: KillPoints | undefined
  /** For a process whose servers die while its connections are idle. */
  readonly onIdleError?: () => void
}

export function reach(way: Way): Reached {
  return way.system === 'postgres' ? reachPostgres(way) : reachMariadb(way)
}

function reachPostgres(way: Way): Reached {
  const { name, url, recoveryUrl, application, max, killAt, onIdleError } = way
  const pool = new pg.Pool({
    connectionString: url,
    ...(application === undefined ? {} : { application_name: application }),
    ...(max === undefined ? {} : { max }),
    ...(killAt === undefined ? {} : { stream: killableStream(killAt) }),
  })
  if (onIdleError !== undefined) pool.on('error', onIdleError)
  const options = recoveryUrl === undefined ? {} : { recovery: { connectionString: recoveryUrl } }
  return {
    name,
    definition: postgres(pool, options),
    take: 'UPDATE item SET amount = amount - 1 WHERE id = $1',
    look: 'SELECT amount FROM item WHERE id = $1',
    end: () => pool.end(),
  }
}

function reachMariadb({ name, system, url, max, killAt }: Way): Reached {
  const pool = mysql.createPool({
    uri: url,
    ...(max === undefined ? {} : { connectionLimit: max }),
    ...(killAt === undefined ? {} : { stream: killableMysqlStream(killAt, MYSQL_WIRE) }),
  } as mysql.PoolOptions)
  // Both ways of sending are killed at each of their messages: without a binary log as on MySQL.
  const options = system === 'mariadb' ? ({ statements: 'single' } as const) : {}
  return {
    name,
    definition: mysql2(pool, options) as unknown as Definition,
    take: 'UPDATE item SET amount = amount - 1 WHERE id = ?',
    look: 'SELECT amount FROM item WHERE id = ?',
    // mysql2 says so of a connection that its server has just ended.
    end: () =>
      pool.end().catch((error: unknown) => {
        if ((error as { code?: string }).code !== 'PROTOCOL_CONNECTION_LOST') throw error
      }),
  }
}

export function definitionsOf(reached: readonly Reached[]): Readonly<Record<string, Definition>> {
  return Object.fromEntries(reached.map(({ name, definition }) => [name, definition]))
}
