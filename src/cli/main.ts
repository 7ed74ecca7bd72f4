#!/usr/bin/env node
/**
 * The program `assent`: runs a command, and ends with its exit code.
 *
 * Promises: ends by itself even if the configuration's own pools are still open; they are the
 * program's, and nothing of the command line is under way any more.
 */
import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { AssentError } from '../protocol/index.ts'
import { CommandError, EXIT_CODES } from './exit-codes.ts'
import type { ExitName } from './exit-codes.ts'
import { isTooOld } from './node-version.ts'
import { makeProgram } from './program.ts'
import { messageOf } from './words.ts'

/** 20 characters of an alphabet that has the dash: one in 64 begins with it, and looks like a flag. */
const DASHED_ID = /^-[A-Za-z0-9_-]{19}$/

process.exitCode = EXIT_CODES[await run()].code
// What is left open, a pool of the user's for one, would keep the process alive.
process.stdout.write('', () => {
  process.stderr.write('', () => process.exit())
})

async function run(): Promise<ExitName> {
  let exit: ExitName = 'ok'
  const { version, engines } = manifest()
  if (isTooOld(engines.node, process.versions.node)) {
    complain(`Node ${engines.node} is needed, and this is ${process.versions.node}`)
    return 'failed'
  }
  const program = makeProgram(version, (ended) => {
    exit = ended
  })
  for (const each of [program, ...program.commands]) {
    each.exitOverride()
    each.configureOutput({
      outputError: (text) => {
        complain(text.replace(/^error: /, ''))
      },
    })
  }
  try {
    if (process.argv.length <= 2) {
      program.outputHelp({ error: true })
      return 'usage'
    }
    await program.parseAsync(withIdsLast(process.argv))
    return exit
  } catch (error) {
    return failed(error)
  }
}

/** Behind `--` nothing is a flag. */
function withIdsLast(given: readonly string[]): readonly string[] {
  const isId = (text: string, at: number): boolean => at > 2 && DASHED_ID.test(text)
  const ids = given.filter(isId)
  if (ids.length === 0 || given.includes('--')) return given
  return [...given.filter((text, at) => !isId(text, at)), '--', ...ids]
}

function failed(error: unknown): ExitName {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 'ok' : 'usage'
  if (error instanceof CommandError) {
    complain(error.message)
    return error.exit
  }
  complain(messageOf(error))
  if (!(error instanceof AssentError)) return 'failed'
  return error.code === 'ASSENT_ID' ? 'usage' : 'failed'
}

/** One line. */
function complain(text: string): void {
  process.stderr.write(`assent: ${text.trim().replace(/\s*\n\s*/g, ' ')}\n`)
}

interface Manifest {
  readonly version: string
  readonly engines: { readonly node: string }
}

function manifest(): Manifest {
  const file = new URL('../../package.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Manifest
}
