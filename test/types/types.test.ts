import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')

function compile(folder: string, file: string): string {
  const config = path.join(folder, 'tsconfig.json')
  writeFileSync(
    config,
    JSON.stringify({
      extends: path.join(root, 'tsconfig.json'),
      compilerOptions: {
        noUnusedLocals: false,
        noUnusedParameters: false,
        typeRoots: [path.join(root, 'node_modules/@types')],
      },
      include: [file],
    }),
  )
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
  return spawnSync(process.execPath, [tsc, '-p', config], { encoding: 'utf8' }).stdout
}

function scratch(): string {
  // Inside the package, so that `assent` and `pg` resolve as they do for a user.
  const folder = mkdtempSync(path.join(root, 'test/types/scratch-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true })
  })
  return folder
}

test('handles are typed from their pool, and wrong names are refused', () => {
  expect(compile(scratch(), path.join(root, 'test/types/handles.ts'))).toBe('')
})

test('the check can fail: without its expectations, each refused line is an error', () => {
  const folder = scratch()
  const source = readFileSync(path.join(root, 'test/types/handles.ts'), 'utf8')
  const refused = source.match(/@ts-expect-error/g) ?? []
  const file = path.join(folder, 'bare.ts')
  writeFileSync(file, source.replaceAll('// @ts-expect-error', '// refused'))
  const lines = new Set((compile(folder, file).match(/bare\.ts\(\d+/g) ?? []).map(String))
  expect(lines.size).toBe(refused.length)
})
