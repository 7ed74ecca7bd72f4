/**
 * Owns: the databases of the demo, each on a server of its own.
 * Promises: every server is durable as in production and gone after close(). One of PostgreSQL's,
 * `vault`, can't prepare (max_prepared_transactions = 0), so it decides whenever it takes part; one of
 * MariaDB's, `north`, also writes a binary log.
 */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import type { LoopbackServer } from '../harness/loopback-server.ts'
import { ACCOUNTS, OPENING_BALANCE } from './accounts.ts'
import { connectPlainly } from './database.ts'
import type { Place, System } from './database.ts'
import { createMariadb, fillMariadb } from './mariadb/server.ts'
import { createPostgres, fillPostgres } from './postgres/server.ts'
import { inWords } from './screen.ts'

type Kind = 'postgres' | 'postgres that only decides' | 'mariadb' | 'mariadb with a binary log'

type Plan = readonly (readonly [name: string, kind: Kind])[]

const POSTGRES: Plan = [
  ['east', 'postgres'],
  ['west', 'postgres'],
  ['vault', 'postgres that only decides'],
]
const MARIADB: Plan = [
  ['east', 'mariadb'],
  ['west', 'mariadb'],
  ['north', 'mariadb with a binary log'],
]
const BOTH: Plan = [
  ['east', 'postgres'],
  ['west', 'mariadb'],
  ['north', 'mariadb with a binary log'],
  ['vault', 'postgres that only decides'],
]

/** The app's name in every gid: processes of one app recover each other's transactions. */
export const APP = 'bank'

interface BankDatabase {
  readonly name: string
  readonly kind: Kind
  readonly system: System
  readonly prepares: boolean
  readonly server: LoopbackServer
}

/** Such as `three PostgreSQL servers`. */
export function describeServers(systems: readonly System[]): string {
  const many = (system: System): string =>
    inWords(layout(systems).filter(([, kind]) => systemOf(kind) === system).length)
  const named = systems.map((system) => `${many(system)} ${PRODUCTS[system]}`)
  return `${named.join(' and ')} servers`
}

function layout(systems: readonly System[]): Plan {
  if (systems.length > 1) return BOTH
  return systems[0] === 'mariadb' ? MARIADB : POSTGRES
}

export class Bank {
  readonly #databases: readonly BankDatabase[]

  /** `clients` is how many connections each server must have room for. */
  static async open(systems: readonly System[], clients: number): Promise<Bank> {
    const plan = layout(systems)
    const opened = await Promise.allSettled(
      plan.map(([name, kind]) => openDatabase(name, kind, clients)),
    )
    const databases = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const failed = opened.find((each) => each.status === 'rejected')
    if (failed !== undefined) {
      await Promise.all(databases.map(({ server }) => server.remove()))
      throw failed.reason
    }
    return new Bank(databases)
  }

  private constructor(databases: readonly BankDatabase[]) {
    this.#databases = databases
  }

  get names(): readonly string[] {
    return this.#databases.map(({ name }) => name)
  }

  /** Whether some of it is not PostgreSQL's. */
  get isMixed(): boolean {
    return this.#databases.some(({ system }) => system !== 'postgres')
  }

  get openingTotal(): number {
    return ACCOUNTS * OPENING_BALANCE * this.#databases.length
  }

  server(name: string): LoopbackServer {
    const database = this.#databases.find((each) => each.name === name)
    if (database === undefined) throw new Error(`the bank has no database ${name}`)
    return database.server
  }

  /** Where they are; `through` may lead them through a proxy. */
  places(through: (name: string, url: string) => string = (_, url) => url): readonly Place[] {
    return this.#databases.map(({ name, system, prepares, server }) => {
      return { name, system, prepares, url: through(name, server.url('bank')) }
    })
  }

  /** What each can do, in a few words, by name. */
  async notes(): Promise<ReadonlyMap<string, string>> {
    const noted = this.#databases.map(async ({ name, kind }) => {
      const words = NOTES[kind]
      return [name, this.isMixed ? `${await this.#product(name)}: ${words}` : words] as const
    })
    return new Map(await Promise.all(noted))
  }

  /** Such as `PostgreSQL 18.4`. */
  async #product(name: string): Promise<string> {
    const place = this.places().find((each) => each.name === name)
    if (place === undefined) throw new Error(`the bank has no database ${name}`)
    const sql = await connectPlainly(place, { as: 'introduction' })
    try {
      const version = String((await sql.rows('SELECT version() AS version'))[0]?.['version'])
      const [number = ''] = /\d+(\.\d+)+/.exec(version) ?? []
      return `${PRODUCTS[place.system]} ${number}`
    } finally {
      await sql.close()
    }
  }

  /**
   * Nothing of them is needed any more, so they are killed: that is quicker than a shutdown.
   *
   * @param keptIn a folder that theirs are copied into
   */
  async close(keptIn?: string): Promise<void> {
    const remove = async ({ name, server }: BankDatabase): Promise<void> => {
      await server.kill()
      if (keptIn !== undefined) cpSync(server.folder, join(keptIn, name), { recursive: true })
      await server.remove()
    }
    await Promise.all(this.#databases.map(remove))
  }
}

const PRODUCTS: Readonly<Record<System, string>> = { postgres: 'PostgreSQL', mariadb: 'MariaDB' }

function systemOf(kind: Kind): System {
  return kind.startsWith('postgres') ? 'postgres' : 'mariadb'
}

const NOTES: Readonly<Record<Kind, string>> = {
  postgres: 'can prepare',
  'postgres that only decides':
    "can't prepare (max_prepared_transactions = 0), so it decides wherever it takes part",
  mariadb: 'can prepare',
  'mariadb with a binary log': 'can prepare, and writes a binary log',
}

async function openDatabase(name: string, kind: Kind, clients: number): Promise<BankDatabase> {
  const prepares = kind !== 'postgres that only decides'
  const system = systemOf(kind)
  const server =
    system === 'postgres'
      ? await createPostgres(name, clients, prepares)
      : await createMariadb(name, clients, kind === 'mariadb with a binary log')
  try {
    await server.start()
    await server.createDatabase('bank')
    await (system === 'postgres' ? fillPostgres : fillMariadb)(server.url('bank'))
    return { name, kind, system, prepares, server }
  } catch (error) {
    await server.remove()
    throw error
  }
}
