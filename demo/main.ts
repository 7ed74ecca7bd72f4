/**
 * `npm start`: Assent on three real PostgreSQL servers, with everything being killed.
 *
 * Owns: the arguments, the signals and the exit code.
 * Promises: interrupted, it cleans up and ends with 128 + the signal's number.
 */
import { watchForInterruption } from '../harness/interruption.ts'
import { installExitCleanup } from '../harness/exit-cleanup.ts'
import { HELP, readArguments } from './options.ts'
import type { Reading } from './options.ts'
import { run } from './run.ts'
import { trace } from './trace.ts'

const interruption = watchForInterruption()
installExitCleanup()
// A reader that closed our output (`npm start | head`) must not keep us from cleaning up.
process.stdout.on('error', () => {
  interruption.interrupt('SIGHUP', 'nobody reads the output any more')
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
        await trace(interruption.signal)
        return 0
      case 'run':
        return (await run(reading.options, interruption.signal)) === 0 ? 0 : 1
    }
  } catch (error) {
    return interruption.exitCodeOf(error)
  }
}
