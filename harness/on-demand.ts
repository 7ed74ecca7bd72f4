/**
 * Owns: what only the long tests need, and is too large for the development dependencies: other
 * majors of PostgreSQL and of Node, other versions of the driver, and what is built on it.
 * Promises: exactly the versions of the lockfile beside each package.json; installed again only when
 * that lockfile changed. Whatever is missing is named.
 * Never: installs anything of the operating system.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folders below harness/on-demand, each with a package.json and a lockfile of its own. */
export const SETS = ['postgres-14', 'postgres-16', 'postgres-17', 'drivers', 'runtimes'] as const
export type OnDemandSet = (typeof SETS)[number]

/** Installs a set, unless it is there already. Call it from one process at a time. */
export function install(set: OnDemandSet): void {
  if (isInstalled(set)) return
  process.stderr.write(`Installing harness/on-demand/${set} (npm ci) …\n`)
  const npm = process.env['npm_execpath']
  const [command, args] = npm === undefined ? ['npm', []] : [process.execPath, [npm]]
  // Install scripts are needed, as in tools/run.mjs: they link PostgreSQL's shared libraries, and
  // bring the Node of the package `node`.
  const ci = [...args, 'ci', '--no-audit', '--no-fund', '--loglevel=error']
  const done = spawnSync(command, ci, {
    cwd: folderOf(set),
    stdio: ['ignore', 2, 2],
    env: { ...process.env, npm_config_ignore_scripts: 'false' },
  })
  if (done.status !== 0) {
    throw new Error(`npm ci failed in harness/on-demand/${set}: see the lines above`)
  }
  writeFileSync(stampOf(set), lockOf(set))
}

/** Resolves and loads from a set, as a file in its folder would. */
export function fromSet(set: OnDemandSet): NodeJS.Require {
  if (!isInstalled(set)) {
    throw new Error(`harness/on-demand/${set} is not installed: npm run test:full installs it`)
  }
  return createRequire(join(folderOf(set), 'package.json'))
}

/** The folder of a package in a set. */
export function packageFolder(set: OnDemandSet, name: string): string {
  const folder = join(folderOf(set), 'node_modules', name)
  if (isInstalled(set) && existsSync(folder)) return folder
  throw new Error(`${name} is not installed in harness/on-demand/${set}: run npm run test:full`)
}

function isInstalled(set: OnDemandSet): boolean {
  return existsSync(stampOf(set)) && readFileSync(stampOf(set), 'utf8') === lockOf(set)
}

function folderOf(set: OnDemandSet): string {
  return fileURLToPath(new URL(`./on-demand/${set}`, import.meta.url))
}

function stampOf(set: OnDemandSet): string {
  return join(folderOf(set), 'node_modules', '.assent-installed')
}

function lockOf(set: OnDemandSet): string {
  const lock = readFileSync(join(folderOf(set), 'package-lock.json'))
  return createHash('sha256').update(lock).digest('hex')
}
