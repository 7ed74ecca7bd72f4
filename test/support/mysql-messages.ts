/**
 * A participant on MariaDB through mysql2, of which it is seen what it says on the connections of its pool.
 */
import { onTestFinished } from 'vitest'
import type mysql from 'mysql2/promise'
import { mysql2 } from 'assent/mysql2'
import { Over } from '../../src/engine/index.ts'
import type { Branch, JoinRequest, Mark, Participant } from '../../src/ports/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Gid } from '../../src/protocol/index.ts'
import { freshMariadb } from './mariadb-databases.ts'
import type { MariadbDatabase } from './mariadb-databases.ts'
import { freshApp } from './pairs.ts'
import type { MysqlOptions } from '../../src/systems/mysql/participant.ts'

export type Ways = NonNullable<MysqlOptions['statements']>
export const WAYS: readonly Ways[] = ['joined', 'single']

export interface Listened {
  readonly database: MariadbDatabase
  readonly participant: Participant
  /** Each message on a connection of the pool, oldest first. */
  readonly said: string[]
  readonly mark: Mark
  readonly gid: Gid
  join(over?: Partial<JoinRequest>): Promise<Branch>
  /** Marks that are visible to everybody, by decision. */
  marks(): Promise<readonly unknown[]>
}

/** With one connection, which every branch is on. */
export async function listened(
  server: 'maria' | 'mariaBinlog',
  options: MysqlOptions = {},
): Promise<Listened> {
  const database = await freshMariadb(server, { connectionLimit: 1 })
  const said = listen(database.pool)
  const app = freshApp()
  database.rollBackAtEnd(`A1.${app}.`)
  const participant = mysql2(database.pool, { schema: database.name, ...options }).open({
    app,
    name: 'stock',
    world: nodeWorld,
    retentionMs: 86_400_000,
  })
  onTestFinished(() => participant.close())
  await participant.readyToMark()
  const epoch = await participant.currentEpoch()
  const txid = Buffer.from(nodeWorld.randomBytes(15)).toString('base64url')
  const id = { app, register: 'stock', epoch, txid }
  const gid = { ...id, branch: 'stock' }
  return {
    ...{ database, participant, said, gid },
    mark: { id, participants: ['orders', 'stock'] },
    join: (over = {}) => participant.join({ ...request(gid), ...over }),
    marks: async () =>
      (await database.sql("select decision from mark where txid <> '-'")).map(
        ({ decision }) => decision,
      ),
  }
}

function request(gid: Gid): JoinRequest {
  return {
    txid: gid.txid,
    access: 'write',
    gid,
    isolation: undefined,
    deadline: nodeWorld.now() + 10_000,
    timeoutMs: 10_000,
    waiting: new Over(),
    firstClaim: () => undefined,
  }
}

interface Core {
  query(text: string | { readonly sql: string }, ...more: readonly unknown[]): unknown
}

function listen(pool: mysql.Pool): string[] {
  const said: string[] = []
  const known = new WeakSet()
  const take = pool.getConnection.bind(pool)
  pool.getConnection = async () => {
    const taken = await take()
    const core = (taken as unknown as { readonly connection: Core }).connection
    if (!known.has(core)) {
      known.add(core)
      const query = core.query.bind(core)
      core.query = (text, ...more) => {
        said.push(typeof text === 'string' ? text : text.sql)
        return query(text, ...more)
      }
    }
    return taken
  }
  return said
}

/** What each message does, in order, without ids and names. */
export function shapesOf(said: readonly string[]): readonly string[] {
  return said.map((text) =>
    text
      .replace(/\s+/g, ' ')
      .replace(/'A1\.[^ ]*,16723/g, 'id')
      .replace(/INSERT INTO \S+\.mark .*?(?=; XA END|$)/g, 'mark'),
  )
}
