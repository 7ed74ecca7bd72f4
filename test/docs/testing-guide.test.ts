/**
 * The test file in docs/guides/testing.md runs, and says what the page says.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, inject, test } from 'vitest'
import pg from 'pg'
import { blocks, read } from './markdown.ts'
import { scratch } from './scratch.ts'

const page = read('docs/guides/testing.md')

test('the test file of the guide passes, as printed, and leaves no database', async () => {
  const file = path.join(scratch(), 'orders.test.ts')
  const [program = ''] = blocks(page, 'ts')
  writeFileSync(file, program)
  const url = inject('servers').first
  const server = new pg.Client({ connectionString: url })
  await server.connect()
  const databases = async (): Promise<readonly string[]> => {
    const text = "select datname from pg_database where datname like 'assent\\_test\\_%'"
    return (await server.query<{ datname: string }>(text)).rows.map(({ datname }) => datname)
  }
  const before = await databases()
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('NODE_TEST'))
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=assent-source', '--test', '--test-reporter=spec', file],
    { encoding: 'utf8', timeout: 60_000, env: { ...Object.fromEntries(inherited), TEST_URL: url } },
  )
  const [output = ''] = blocks(page, 'sh')
  const lines = (text: string): readonly string[] =>
    [...text.matchAll(/^(?:✔|✖|ℹ (?:tests|pass|fail)).*$/gm)].map(([line]) =>
      line.replace(/ \([0-9.]+ms\)$/, ''),
    )
  expect({ lines: lines(stdout), stderr }).toEqual({ lines: lines(output), stderr: '' })
  const left = (await databases()).filter((name) => !before.includes(name))
  await server.end()
  expect(left).toEqual([])
})
