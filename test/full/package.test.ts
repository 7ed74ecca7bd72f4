import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase } from '../support/databases.ts'

/** A project of a user's, with the packed package in its node_modules. */
let project: string
const root = path.resolve(import.meta.dirname, '../..')
const tool = (name: string): string => path.join(root, 'node_modules', name)

beforeAll(() => {
  project = mkdtempSync(path.join(tmpdir(), 'assent-package-'))
  execFileSync(process.execPath, [tool('typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
    cwd: root,
  })
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', project], { cwd: root })
  const tarball = readdirSync(project).find((file) => file.endsWith('.tgz')) ?? ''
  const home = path.join(project, 'node_modules/assent')
  mkdirSync(home, { recursive: true })
  execFileSync('tar', ['-xzf', path.join(project, tarball), '--strip-components=1', '-C', home])
  for (const name of ['pg', '@types', 'commander']) {
    symlinkSync(tool(name), path.join(project, 'node_modules', name))
  }
})

afterAll(() => {
  rmSync(project, { recursive: true, force: true })
})

function run(file: string, text: string, ...args: readonly string[]): unknown {
  writeFileSync(path.join(project, file), text)
  const { stdout, stderr } = spawnSync(process.execPath, [file, ...args], {
    cwd: project,
    encoding: 'utf8',
  })
  return { stdout, stderr }
}

test('is imported and required, with every subpath', () => {
  const print = 'console.log(typeof createAssent, typeof pg, typeof crashing, AssentError.name)'
  const expected = { stdout: 'function function function AssentError\n', stderr: '' }
  expect(
    run(
      'a.mjs',
      `import { createAssent, AssentError } from 'assent'; import { pg } from 'assent/pg'; import { crashing } from 'assent/testing'; ${print}`,
    ),
  ).toEqual(expected)
  expect(
    run(
      'b.cjs',
      `const { createAssent, AssentError } = require('assent'); const { pg } = require('assent/pg'); const { crashing } = require('assent/testing'); ${print}`,
    ),
  ).toEqual(expected)
})

test('brings the command line along', () => {
  const program = 'node_modules/assent/dist/cli/main.js'
  const { stdout } = spawnSync(process.execPath, [program, '--version'], {
    cwd: project,
    encoding: 'utf8',
  })
  expect(stdout).toBe('0.1.0\n')
})

test('commits over two databases, and rolls back in both', async () => {
  const [orders, stock] = await Promise.all([freshDatabase('first'), freshDatabase('second')])
  const program = `import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
const pools = process.argv.slice(2).map((connectionString) => new pg.Pool({ connectionString }))
const assent = createAssent({
  app: 'built',
  participants: { orders: participant(pools[0]), stock: participant(pools[1]) },
})
const write = async ({ orders, stock }) => {
  await orders.query('insert into t values (1)')
  await stock.query('insert into t values (1)')
}
await assent.transaction(write)
const refused = assent.transaction(async (db, tx) => {
  await write(db)
  throw tx.abort('enough')
})
await refused.catch((error) => console.log(error.code, error.outcome))
await assent.close()
await Promise.all(pools.map((pool) => pool.end()))
`
  const expected = { stdout: 'ASSENT_ABORTED aborted\n', stderr: '' }
  expect(run('c.mjs', program, orders.url, stock.url)).toEqual(expected)
  expect([await orders.count(), await stock.count()]).toEqual([1, 1])
  expect([...(await orders.prepared()), ...(await stock.prepared())]).toEqual([])
})

// Types and manifest are the same on every Node: looked at once, not for each of the matrix.
if (process.env['ASSENT_NODE'] === undefined) {
  test.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('type-checks for a user with module %s', (module, moduleResolution) => {
    const config = {
      compilerOptions: {
        module,
        moduleResolution,
        target: 'es2022',
        lib: ['es2022', 'esnext.disposable'],
        strict: true,
        noEmit: true,
        types: ['node'],
        // The user's own dependencies may be as they are; ours are checked.
        skipLibCheck: false,
      },
      files: ['use.mts'],
    }
    writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify(config))
    writeFileSync(
      path.join(project, 'use.mts'),
      `import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
const assent = createAssent({ app: 'x', participants: { a: participant(new pg.Pool()) } })
export const done: Promise<number> = assent.transaction(async ({ a }) => {
  const { rows } = await a.query<{ n: number }>('select 1 as n')
  return rows[0]?.n ?? 0
})
`,
    )
    const tsc = spawnSync(process.execPath, [tool('typescript/bin/tsc'), '-p', project], {
      encoding: 'utf8',
    })
    const ours = tsc.stdout.split('\n').filter((line) => /assent|use\.mts/.test(line))
    expect(ours).toEqual([])
  })

  test('passes what package authors are checked by', () => {
    const env = {
      ...process.env,
      PATH: `${tool('.bin')}${path.delimiter}${process.env['PATH'] ?? ''}`,
    }
    for (const command of ['publint --strict', 'attw --pack . --profile esm-only']) {
      const [name = '', ...args] = command.split(' ')
      const { status, stdout } = spawnSync(name, args, { cwd: root, env, encoding: 'utf8' })
      expect({ command, status, stdout: status === 0 ? '' : stdout }).toEqual({
        command,
        status: 0,
        stdout: '',
      })
    }
  })
}
