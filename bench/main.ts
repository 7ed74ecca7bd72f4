/**
 * `npm run bench`: what the guarantee costs, measured beside the same work without it.
 *
 * Owns: the arguments, the signals and the exit code.
 * Promises: interrupted, it cleans up and ends with 128 + the signal's number.
 */
import { constants } from 'node:os'
import { installExitCleanup } from '../harness/postgres-server.ts'
import { HELP, readArguments } from './options.ts'
import type { Reading } from './options.ts'
import { run, runGrowth, runProfile } from './run.ts'

const interrupted = new AbortController()
let killer: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // More than once: Ctrl-C reaches us from the terminal and from npm. Cleaning up goes on.
  process.on(signal, () => {
    killer ??= signal
    interrupted.abort(new Error(`interrupted by ${signal}`))
  })
}
installExitCleanup()

process.exitCode = await perform(readArguments(process.argv.slice(2)))

async function perform(reading: Reading): Promise<number> {
  const print = (line = ''): void => {
    process.stdout.write(`${line}\n`)
  }
  try {
    switch (reading.kind) {
      case 'help':
        process.stdout.write(HELP)
        return 0
      case 'wrong':
        process.stderr.write(`${reading.message}\n`)
        return 2
      case 'profile':
        await runProfile(reading.options, print)
        return 0
      case 'growth':
        await runGrowth(reading.options, interrupted.signal, print)
        return 0
      case 'measure':
        await run(reading.options, interrupted.signal, print)
        return 0
    }
  } catch (error) {
    if (killer !== undefined) {
      process.stderr.write('Interrupted; everything was cleaned up.\n')
      return 128 + constants.signals[killer]
    }
    process.stderr.write(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    return 1
  }
}
