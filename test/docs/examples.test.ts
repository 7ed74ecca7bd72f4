import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { blocks, filesIn, markdownFiles, read, root } from './markdown.ts'
import { scratch } from './scratch.ts'

/** Every TypeScript block of a page, or of a doc comment. */
function examples(): readonly { readonly from: string; readonly code: string }[] {
  const pages = markdownFiles().flatMap((from) =>
    blocks(read(from), 'ts').map((code) => ({ from, code })),
  )
  const comments = filesIn('src', '.ts').flatMap((from) =>
    [...read(from).matchAll(/\/\*\*[\s\S]*?\*\//g)].flatMap(([comment]) =>
      blocks(comment.replace(/^ *\* ?/gm, ''), 'ts').map((code) => ({ from, code })),
    ),
  )
  return [...pages, ...comments]
}

test('every example of the documentation compiles under the project’s own settings', () => {
  const folder = scratch()
  const all = examples().map(({ from, code }, index) => ({
    name: `${String(index).padStart(2, '0')}-${from.replaceAll('/', '-')}.ts`,
    code,
    from,
  }))
  const sources = new Set(all.map(({ from }) => from))
  for (const from of ['README.md', 'src/systems/pg/index.ts', 'src/protocol/errors.ts']) {
    expect(sources).toContain(from)
  }
  for (const { name, code } of all) {
    writeFileSync(path.join(folder, name), `${code}\nexport {}\n`)
  }
  const config = path.join(folder, 'tsconfig.json')
  const compilerOptions = { typeRoots: [path.join(root, 'node_modules/@types')] }
  writeFileSync(
    config,
    JSON.stringify({
      extends: path.join(root, 'tsconfig.json'),
      compilerOptions,
      include: all.map(({ name }) => name),
    }),
  )
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
  const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', config], { encoding: 'utf8' })
  expect({ stdout, status }).toEqual({ stdout: '', status: 0 })
})
