/**
 * Assent over databases of several systems, which tests treat alike.
 */
import { onTestFinished } from 'vitest'
import { createConnection } from 'mariadb'
import { createAssent } from 'assent'
import type { Assent, AssentSetting, ParticipantDefinition, Report } from 'assent'
import { mariadb } from 'assent/mariadb'
import { mysql2 } from 'assent/mysql2'
import { pg } from 'assent/pg'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Branch, Participant } from '../../src/ports/index.ts'
import { PgBranch } from '../../src/systems/pg/branch.ts'
import { freshDatabase } from './databases.ts'
import { freshMariadb } from './mariadb-databases.ts'
import type { MariadbDatabase } from './mariadb-databases.ts'
import { runMysql } from './mysql-branch.ts'

/**
 * What is under test: a server, and the driver that it is reached by. By mysql2 and without a binary log every statement
 * of Assent's is a message of its own, as on MySQL.
 */
export type Kind =
  | 'postgres'
  | 'postgres that can’t prepare'
  | 'mariadb by mysql2'
  | 'mariadb by mariadb'
  | 'mariadb with a binary log'

/** What every handle can do. */
export interface AnyHandle {
  query(text: string): Promise<unknown>
}

export interface Store {
  readonly kind: Kind
  readonly definition: ParticipantDefinition<AnyHandle>
  /** How a configuration file in JSON says it. */
  readonly reached: { readonly url: string; readonly schema?: string }
  count(): Promise<number>
  /** What is prepared here under ids of this test's app. */
  prepared(app: string): Promise<readonly string[]>
  marks(): Promise<readonly { txid: string; decision: string; register: string }[]>
  sql(text: string): Promise<readonly Record<string, unknown>[]>
}

export async function openStore(kind: Kind, app: string): Promise<Store> {
  if (kind === 'postgres' || kind === 'postgres that can’t prepare') {
    const database = await freshDatabase(kind === 'postgres' ? 'first' : 'unprepared')
    return {
      kind,
      definition: pg(database.pool) as unknown as ParticipantDefinition<AnyHandle>,
      reached: { url: database.url },
      count: () => database.count(),
      prepared: async () =>
        (await database.prepared()).filter((gid) => gid.startsWith(`A1.${app}.`)),
      marks: async () =>
        (await database.sql('select txid, decision, register from assent.mark')) as never,
      sql: (text) => database.sql(text),
    }
  }
  const server = kind === 'mariadb with a binary log' ? 'mariaBinlog' : 'maria'
  return mariadbStore(kind, app, await freshMariadb(server))
}

/** Over a database that the test has made. */
export function mariadbStore(kind: Kind, app: string, database: MariadbDatabase): Store {
  database.rollBackAtEnd(`A1.${app}.`)
  const schema = database.name
  const { hostname, port, username, password } = new URL(database.url)
  const settings = { host: hostname, port: Number(port), user: username, password }
  // Both ways of sending are run by every test over pairs; one of them is the default.
  const single = kind === 'mariadb by mysql2' ? ({ statements: 'single' } as const) : {}
  const definition: unknown =
    kind === 'mariadb by mariadb'
      ? mariadb(database.connector(), { schema, connect: () => createConnection(settings) })
      : mysql2(database.pool, { schema, ...single })
  return {
    kind,
    definition: definition as ParticipantDefinition<AnyHandle>,
    reached: {
      url:
        kind === 'mariadb by mariadb' ? database.url.replace(/^mysql:/, 'mariadb:') : database.url,
      schema,
    },
    count: () => database.count(),
    prepared: async () =>
      (await database.prepared())
        .map(({ gtrid, bqual }) => `${gtrid}.${bqual.split('.')[0] ?? ''}`)
        .filter((gid) => gid.startsWith(`A1.${app}.`)),
    marks: async () =>
      (await database.sql("select txid, decision, register from mark where txid <> '-'")) as never,
    sql: (text) => database.sql(text),
  }
}

let serial = 0

/** Of this test alone: XA RECOVER lists what is prepared on the whole server. */
export function freshApp(): string {
  serial += 1
  return `s${(process.pid % 1296).toString(36)}${(Date.now() % 46_656).toString(36)}${serial.toString(36)}`
}

export type Stores<N extends string> = Readonly<Record<N, Store>>
type Definitions<N extends string> = Readonly<Record<N, ParticipantDefinition<AnyHandle>>>

export interface Pairing<N extends string> {
  readonly app: string
  readonly stores: Stores<N>
  readonly assent: Assent<Definitions<N>>
  readonly reports: Report[]
}

/** Stores of these kinds, and a process of an app of their own over them. */
export async function openPairing<N extends string>(
  kinds: Readonly<Record<N, Kind>>,
  setting: Partial<AssentSetting<Definitions<N>>> = {},
): Promise<Pairing<N>> {
  const app = freshApp()
  const opened = await Promise.all(
    Object.entries<Kind>(kinds).map(
      async ([name, kind]) => [name, await openStore(kind, app)] as const,
    ),
  )
  return assentOver(app, Object.fromEntries(opened) as Stores<N>, setting)
}

/** Another process of the same app. */
export function assentOver<N extends string>(
  app: string,
  stores: Stores<N>,
  setting: Partial<AssentSetting<Definitions<N>>> = {},
): Pairing<N> {
  const reports: Report[] = []
  const participants = Object.fromEntries(
    Object.entries<Store>(stores).map(([name, { definition }]) => [name, definition]),
  ) as Definitions<N>
  const assent = createAssent<Definitions<N>>({
    app,
    participants,
    onReport: (report) => reports.push(report),
    ...setting,
  })
  onTestFinished(() => assent.close())
  return { app, stores, assent, reports }
}

/** A participant as the engine sees it, closed when the test is over. */
export function openParticipant(app: string, name: string, store: Store): Participant {
  const opened = store.definition.open({
    app,
    name,
    world: nodeWorld,
    retentionMs: 86_400_000,
  })
  onTestFinished(() => opened.close())
  return opened
}

/** Runs a statement on a branch, as the user's function would. */
export async function runOn(branch: Branch, text: string): Promise<void> {
  if (branch instanceof PgBranch) await branch.query([text])
  else await runMysql(branch, text)
}
