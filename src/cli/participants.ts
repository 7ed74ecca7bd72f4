/**
 * Participants of URLs: for those who have no configuration file, or one in JSON.
 *
 * Owns: which scheme means which driver, and importing that from the user's project.
 * Promises: a password never leaves this file: not in an error, a log or an output.
 */
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ParticipantDefinition } from '../ports/index.ts'
import { mariadb } from '../systems/mysql/mariadb.ts'
import { mysql2 } from '../systems/mysql/mysql2.ts'
import { pg } from '../systems/pg/index.ts'
import { CommandError } from './exit-codes.ts'

export interface UrlParticipant {
  /** A URL, or `env:NAME` for one that is in the environment. */
  readonly url: string
  readonly schema?: string | undefined
  readonly failover?: 'lossless' | 'lossy' | undefined
}

type Definition = ParticipantDefinition<unknown>

/** A database that a URL leads to. */
export interface OpenedUrl {
  readonly definition: Definition
  /** What the definition was made of. None of its connections is opened in advance. */
  readonly pool: UrlPool
  readonly system: 'PostgreSQL' | 'MySQL or MariaDB'
}

/** As the three drivers have it in common. */
export interface UrlPool {
  query: unknown
  end: () => Promise<void>
}

/** `folder`: where drivers are looked for first. @throws CommandError */
export async function participantOf(
  name: string,
  given: UrlParticipant,
  folder: string,
): Promise<Definition> {
  return (await openUrl(name, given, folder)).definition
}

/** `connections`: of the pool, at the most. @throws CommandError */
export async function openUrl(
  name: string,
  given: UrlParticipant,
  folder: string,
  connections = 1,
): Promise<OpenedUrl> {
  const url = urlOf(name, given.url)
  const { schema, failover } = given
  const options = {
    ...(schema === undefined ? {} : { schema }),
    ...(failover === undefined ? {} : { failover }),
  }
  switch (url.protocol) {
    case 'postgres:':
    case 'postgresql:': {
      const pool = await pgPool(name, url, folder, connections)
      return { definition: pg(pool, options), pool, system: 'PostgreSQL' }
    }
    case 'mysql:': {
      const pool = await mysql2Pool(name, url, folder, connections)
      return { definition: mysql2(pool, options), pool, system: 'MySQL or MariaDB' }
    }
    case 'mariadb:':
      return mariadbOrMysql2(name, url, folder, connections, options)
    default:
      throw new CommandError(
        'configuration',
        `participant ${name} has a URL of an unknown kind (${url.protocol}//). Expected ` +
          `postgres://, mysql:// or mariadb://`,
      )
  }
}

function urlOf(name: string, given: string): URL {
  const variable = /^env:(.*)$/s.exec(given)?.[1]
  const text = variable === undefined ? given : process.env[variable]
  if (text === undefined || text === '') {
    throw new CommandError(
      'configuration',
      `participant ${name} is to be found in the environment variable ${variable ?? ''}, which is not set`,
    )
  }
  const where = variable === undefined ? 'was given' : `has in ${variable}`
  if (!URL.canParse(text)) {
    throw new CommandError(
      'configuration',
      `participant ${name} ${where} something that is no URL. Expected postgres://…, mysql://…, ` +
        `mariadb://…, or env:NAME`,
    )
  }
  return new URL(text)
}

interface PgModule {
  readonly default: { readonly Pool: new (config: object) => PgLikePool }
}
interface PgLikePool extends UrlPool {
  options: object
  on(event: 'error', listener: () => void): unknown
}

async function pgPool(name: string, url: URL, folder: string, max: number): Promise<PgLikePool> {
  const { default: driver } = await driverOf<PgModule>(name, 'pg', 'pg', folder)
  const pool = new driver.Pool({ connectionString: url.href, max })
  pool.on('error', () => undefined)
  return pool
}

interface Mysql2Module {
  createPool(config: object): UrlPool & { getConnection(): Promise<object>; execute: unknown }
}

async function mysql2Pool(
  name: string,
  url: URL,
  folder: string,
  connectionLimit: number,
): Promise<ReturnType<Mysql2Module['createPool']>> {
  const driver = await driverOf<Mysql2Module>(name, 'mysql2', 'mysql2/promise', folder)
  const uri = url.href.replace(/^mariadb:/, 'mysql:')
  return driver.createPool({ uri, connectionLimit })
}

interface MariadbModule {
  createPool(config: object): UrlPool & {
    getConnection(): Promise<object>
    execute: unknown
    batch: unknown
  }
  createConnection(config: object): Promise<object>
}

async function mariadbOrMysql2(
  name: string,
  url: URL,
  folder: string,
  connectionLimit: number,
  options: object,
): Promise<OpenedUrl> {
  const system = 'MySQL or MariaDB'
  const hasOwn = resolve('mariadb', folder) !== undefined
  if (!hasOwn && resolve('mysql2/promise', folder) !== undefined) {
    const pool = await mysql2Pool(name, url, folder, connectionLimit)
    return { definition: mysql2(pool, options), pool, system }
  }
  const driver = await driverOf<MariadbModule>(name, 'mariadb', 'mariadb', folder)
  const config = {
    host: url.hostname,
    port: Number(url.port || 3306),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)) || undefined,
  }
  // None is opened in advance: the command line uses connections of its own.
  const pool = driver.createPool({ ...config, connectionLimit, minimumIdle: 0 })
  const connect = (): Promise<object> => driver.createConnection(config)
  return { definition: mariadb(pool, { ...options, connect }), pool, system }
}

/** @throws CommandError */
async function driverOf<M>(
  name: string,
  driver: string,
  entry: string,
  folder: string,
): Promise<M> {
  const file = resolve(entry, folder)
  if (file === undefined) {
    throw new CommandError(
      'configuration',
      `participant ${name} needs the driver ${driver}, which is not installed in ${folder}. ` +
        `Run npm install ${driver}`,
    )
  }
  return (await import(pathToFileURL(file).href)) as M
}

/** In the user's project; else beside Assent itself. */
function resolve(entry: string, folder: string): string | undefined {
  for (const from of [path.join(folder, 'assent.config.js'), import.meta.filename]) {
    try {
      return createRequire(from).resolve(entry)
    } catch {
      // The next place.
    }
  }
  return undefined
}
