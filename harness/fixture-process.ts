/**
 * Owns: what the harness' own tests need to run a TypeScript program as a process of its own.
 * Promises: a Node that runs .ts files, whichever Node runs the tests.
 * Never: looks for anything outside this project.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The npm package `node` of this project if it is installed, else the Node that we run on. */
export function nodeProgram(): string {
  const ours = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url))
  return existsSync(ours) ? ours : process.execPath
}

export function fixture(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
}

export function rewriteFirstLine(path: string, line: string): void {
  const [, ...others] = readFileSync(path, 'utf8').split('\n')
  writeFileSync(path, [line, ...others].join('\n'))
}
