/**
 * `npm start`: Assent on three real PostgreSQL servers, with everything being killed.
 *
 * Owns: the arguments, the signals and the exit code.
 * Promises: interrupted, it cleans up and ends with 128 + the signal's number.
 */
import { constants } from 'node:os'
import { installExitCleanup } from '../harness/postgres-server.ts'
import { HELP, readArguments } from './options.ts'
import type { Reading } from './options.ts'
import { run } from './run.ts'
import { trace } from './trace.ts'

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
// A reader that closed our output (`npm start | head`) must not keep us from cleaning up.
process.stdout.on('error', () => {
  killer ??= 'SIGHUP'
  interrupted.abort(new Error('nobody reads the output any more'))
})

process.exitCode = await perform(readArguments(process.argv.slice(2)))

async function perform(reading: Reading): Promise<number> {
  try {
    switch (reading.kind) {
      case 'help':
        process.stdout.write(HELP)
        return 0
      case 'wrong':
        process.stderr.write(`${reading.message}\n`)
        return 2
      case 'trace':
        await trace(interrupted.signal)
        return 0
      case 'run':
        return (await run(reading.options, interrupted.signal)) === 0 ? 0 : 1
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
