/**
 * The versions that the long tests run on, beside those of the development dependencies.
 *
 * Owns: which tests run on which PostgreSQL, MariaDB, node-postgres and Node.
 * Promises: installs what npm has; what only the operating system has, and is missing, is named and
 * fails the run. Nothing is left out silently.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { SYSTEM_MARIADB } from '../harness/mariadb-binaries.ts'
import { SETS, install, packageFolder } from '../harness/on-demand.ts'
import { findPgbouncer } from '../harness/pgbouncer.ts'
import { SYSTEM_POSTGRES } from '../harness/postgres-binaries.ts'

const CONTRACT = ['test/contract/pg.test.ts', 'test/contract/versions.test.ts']
/** What speaks to PostgreSQL in a way that a version could change. */
const CORE = [
  ...CONTRACT,
  'test/pg/transaction.test.ts',
  'test/pg/recovery.test.ts',
  'test/pg/preflight.test.ts',
  'test/pg/lost-answers.test.ts',
  'test/pg/database-state.test.ts',
  'test/pg/replication-wait.test.ts',
]
/** What hangs on the driver's own classes. */
const DRIVER = [...CONTRACT, 'test/pg/transaction.test.ts', 'test/pg/handles.test.ts']
const MARIADB = [
  'harness/mariadb-server.test.ts',
  'harness/mysql-frames.test.ts',
  'test/support/mariadb-databases.test.ts',
  'test/mysql/',
  'test/contract/mysql.test.ts',
  'test/crash/pairs.test.ts',
  'test/full/recovery-of-pairs.test.ts',
  'test/full/mariadb-decider.test.ts',
  'test/full/seen-is-not-durable.test.ts',
]
const RUNTIME = [...CONTRACT, 'test/full/package.test.ts']

export interface Round {
  readonly title: string
  readonly node: string
  readonly env: Readonly<Record<string, string>>
  readonly files: readonly string[]
}

/** Makes sure that everything is there. @throws Error that names all that is missing */
export function prepareMatrix(): void {
  const missing = [
    existsSync(SYSTEM_POSTGRES)
      ? ''
      : `PostgreSQL 15 at ${SYSTEM_POSTGRES} (Debian: apt-get install postgresql-15)`,
    existsSync(SYSTEM_MARIADB)
      ? ''
      : `MariaDB 10.11 at ${SYSTEM_MARIADB} (Debian 12: apt-get install mariadb-server)`,
    findPgbouncer() === undefined ? 'pgbouncer (Debian: apt-get install pgbouncer)' : '',
    spawnSync('cc', ['--version']).error
      ? 'a C compiler (Debian: apt-get install gcc libc6-dev)'
      : '',
  ].filter((each) => each !== '')
  if (missing.length > 0) throw new Error(`The long tests need:\n  ${missing.join('\n  ')}`)
  for (const set of SETS) install(set)
}

export function versionMatrix(): readonly Round[] {
  const node = process.execPath
  const servers = ['14', '15', '16', '17'].map((major): Round => ({
    title: `PostgreSQL ${major}`,
    node,
    env: { ASSENT_POSTGRES: major },
    files: CORE,
  }))
  const mariadb: Round = {
    title: 'MariaDB 10.11',
    node,
    env: { ASSENT_MARIADB: '10.11', ASSENT_FULL: '1' },
    files: MARIADB,
  }
  const drivers = ['8.11', '8.13', '8.14', '8.16', '8.17', '8.22'].map((version): Round => ({
    title: `node-postgres ${version}`,
    node,
    env: { ASSENT_DRIVER: version },
    files: DRIVER,
  }))
  const runtimes = ['22', '26'].map((major): Round => ({
    title: `Node ${major}`,
    node: join(packageFolder('runtimes', `node-${major}`), 'bin', 'node'),
    env: { ASSENT_NODE: major, ASSENT_FULL: '1' },
    files: RUNTIME,
  }))
  return [...servers, mariadb, ...drivers, ...runtimes]
}
