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
import { makeProgram } from './program.ts'
import { messageOf } from './words.ts'

process.exitCode = EXIT_CODES[await run()].code
// What is left open, a pool of the user's for one, would keep the process alive.
process.stdout.write('', () => {
  process.stderr.write('', () => process.exit())
})

async function run(): Promise<ExitName> {
  let exit: ExitName = 'ok'
  const program = makeProgram(version(), (ended) => {
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
    await program.parseAsync()
    return exit
  } catch (error) {
    return failed(error)
  }
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

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version
}
