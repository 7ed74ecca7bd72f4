/**
 * `npm run bench`: what the guarantee costs, measured beside the same work without it.
 *
 * Owns: the arguments, the signals and the exit code.
 * Promises: interrupted, it cleans up and ends with 128 + the signal's number.
 */
import { watchForInterruption } from '../harness/interruption.ts'
import { installExitCleanup } from '../harness/exit-cleanup.ts'
import { HELP, readArguments } from './options.ts'
import type { Reading } from './options.ts'
import { run, runGrowth, runGuarantees, runPairs, runProfile } from './run.ts'

const interruption = watchForInterruption()
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
        await runGrowth(reading.options, interruption.signal, print)
        return 0
      case 'pairs':
        await runPairs(reading.options, interruption.signal, print)
        return 0
      case 'guarantees':
        await runGuarantees(reading.options, interruption.signal, print)
        return 0
      case 'measure':
        await run(reading.options, interruption.signal, print)
        return 0
    }
  } catch (error) {
    return interruption.exitCodeOf(error)
  }
}
