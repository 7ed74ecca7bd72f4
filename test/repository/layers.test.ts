import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

/** The import column of ARCHITECTURE.md: what each folder of `src/` may import. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  ports: ['protocol'],
  engine: ['protocol', 'ports'],
  systems: ['protocol', 'ports'],
  platform: ['ports'],
  testing: ['protocol', 'ports'],
  seeing: ['protocol', 'ports', 'engine'],
  transaction: ['protocol', 'ports', 'engine', 'platform', 'seeing'],
  cli: ['protocol', 'ports', 'engine', 'systems', 'platform', 'transaction', 'commander'],
}

const src = path.resolve(import.meta.dirname, '../../src')

interface Import {
  readonly file: string
  readonly target: string
}

function importsOf(folder: string): readonly Import[] {
  return readdirSync(path.join(src, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const code = readFileSync(path.join(src, folder, file), 'utf8').replace(/^ \*.*$/gm, '')
      return [...code.matchAll(/(?:from|import\(?)\s*['"]([^'"]+)['"]/g)].map((match) => ({
        file: path.join(folder, file),
        target: match[1] ?? '',
      }))
    })
}

function folderOf({ file, target }: Import): string {
  if (!target.startsWith('.')) return target
  return path.relative(src, path.resolve(src, path.dirname(file), target)).split(path.sep)[0] ?? ''
}

test.each(Object.entries(MAY_IMPORT))('%s imports only %j', (folder, allowed) => {
  const imports = importsOf(folder)
  expect(imports.length).toBeGreaterThan(0)
  const own = [folder, ...allowed]
  const strange = imports.filter((each) => {
    const target = folderOf(each)
    // Only these touch the world.
    if (target.startsWith('node:')) return !['platform', 'systems', 'cli'].includes(folder)
    return !own.includes(target)
  })
  expect(strange.map((each) => `${each.file} → ${each.target}`)).toEqual([])
})

test('one system never imports another', () => {
  const strange = importsOf('systems').filter(({ file, target }) => {
    if (!target.startsWith('.')) return false
    const from = file.split(path.sep)[1]
    const parts = path.relative(src, path.resolve(src, path.dirname(file), target)).split(path.sep)
    // But for what is no system's own.
    return parts[0] === 'systems' && parts[1] !== from && parts[1] !== 'common'
  })
  expect(strange).toEqual([])
})

test('every folder of src has its rule', () => {
  const folders = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(folders.map((entry) => entry.name).sort()).toEqual(Object.keys(MAY_IMPORT).sort())
})

test('the protocol is pure: no clock, no random, no await, no console', () => {
  for (const file of readdirSync(path.join(src, 'protocol'))) {
    const code = readFileSync(path.join(src, 'protocol', file), 'utf8')
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/\/\/.*$/gm, '')
      .replace(/(['"`])(?:\\.|(?!\1)[\s\S])*\1/g, "''")
    expect(code, file).not.toMatch(
      /\bawait\b|\basync\b|\bPromise\b|Date\b|Math\.random|performance|console|process\b|setTimeout/,
    )
  }
})

test('only platform and systems touch the world', () => {
  for (const folder of ['protocol', 'ports', 'engine', 'seeing']) {
    for (const file of readdirSync(path.join(src, folder))) {
      const code = readFileSync(path.join(src, folder, file), 'utf8').replace(
        /\/\*[\s\S]*?\*\//g,
        '',
      )
      expect(code, file).not.toMatch(/setTimeout|setInterval|Date\.now|Math\.random|performance\./)
    }
  }
})
