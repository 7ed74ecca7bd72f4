import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const demo = path.resolve(import.meta.dirname, '../../demo')

/** Everything that a file imports to run, directly or through others of this repository. */
function importsOf(file: string, seen = new Set<string>()): ReadonlySet<string> {
  for (const [, target = ''] of readFileSync(file, 'utf8').matchAll(VALUE_IMPORT)) {
    if (!target.startsWith('.')) {
      seen.add(target)
      continue
    }
    const next = path.resolve(path.dirname(file), target)
    if (seen.has(next)) continue
    seen.add(next)
    importsOf(next, seen)
  }
  return seen
}

const VALUE_IMPORT = /^(?:import|export) (?!type )[^'"]*?from ['"]([^'"]+)['"]/gm

test.each(['proof.ts', 'observer.ts'])('%s shares no code with Assent', (file) => {
  const imports = [...importsOf(path.join(demo, file))]
  // It reads both systems by itself.
  expect(imports).toEqual(expect.arrayContaining(['pg', 'mysql2/promise']))
  expect(imports.filter((each) => /^assent(\/|$)|\/src\//.test(each))).toEqual([])
})
