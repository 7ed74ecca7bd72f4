/**
 * The commands, as they are typed.
 *
 * Owns: names, flags, help and examples of every command.
 * Promises: what can't be meant is told in one line on stderr, and nothing was changed.
 * Never: does the work. Each command has a file of its own.
 */
import { Command } from 'commander'
import { SHELLS, completionFor } from './completion.ts'
import type { Shell } from './completion.ts'
import { demo } from './commands/demo.ts'
import type { DemoFlags } from './commands/demo.ts'
import { doctor } from './commands/doctor.ts'
import { list } from './commands/list.ts'
import type { ListFlags } from './commands/list.ts'
import { lost } from './commands/lost.ts'
import { drain, recover } from './commands/recover.ts'
import type { DrainFlags } from './commands/recover.ts'
import { resolve } from './commands/resolve.ts'
import type { ResolveFlags } from './commands/resolve.ts'
import { migrate, restored } from './commands/schema.ts'
import type { PrintFlags } from './commands/schema.ts'
import { show } from './commands/show.ts'
import { CommandError, exitCodesText } from './exit-codes.ts'
import type { ExitName } from './exit-codes.ts'
import type { CommonFlags } from './session.ts'

const AN_ID = 'a transaction id, the id of a prepared branch, or tx.id'

/** `onEnd` is told how the command ended. */
export function makeProgram(version: string, onEnd: (exit: ExitName) => void): Command {
  const program = new Command('assent')
  const run =
    <A extends unknown[]>(work: (...args: A) => Promise<ExitName>) =>
    async (...args: A): Promise<void> => {
      onEnd(await work(...args))
    }
  program
    .description('Sees and settles what transactions over several databases have left behind.')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'show this')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nassent help COMMAND shows examples; assent help exit-codes the exit codes.',
    )
  addLooking(program, run)
  addEnding(program, run)
  addSchema(program, run)
  addDemo(program, run)
  addHelp(program)
  return program
}

type Run = <A extends unknown[]>(
  work: (...args: A) => Promise<ExitName>,
) => (...args: A) => Promise<void>

function addLooking(program: Command, run: Run): void {
  command(program, 'list', 'what is prepared and not ended, the oldest first, and why', [
    'assent list',
    'assent list --all --json',
    'assent list --app shop --participant orders=env:ORDERS_URL --participant stock=env:STOCK_URL',
  ])
    .option('--all', 'also what is of other apps, or unreadable')
    .action(run((flags: ListFlags) => list(flags)))
  command(program, 'show', 'one transaction, branch by branch', [
    'assent show A1.shop.orders.YU44scfP.GaBsznZVL2UdcQsaAYjh',
    'assent show GaBsznZVL2UdcQsaAYjh',
  ])
    .argument('<id>', AN_ID)
    .action(run((id: string, flags: CommonFlags) => show(id, flags)))
  command(program, 'lost', 'what was applied and has no decision: a database was set back', [
    'assent lost                   # after a database was restored or promoted',
    'assent lost --json',
  ]).action(run((flags: CommonFlags) => lost(flags)))
  command(program, 'doctor', 'checks every database, and says what to change, in which order', [
    'assent doctor',
    'assent doctor --app shop --participant orders=env:ORDERS_URL',
  ]).action(run((flags: CommonFlags) => doctor(flags)))
}

function addEnding(program: Command, run: Run): void {
  command(program, 'recover', 'ends everything that its register has decided, once', [
    'assent recover',
    'assent recover --json',
  ]).action(run((flags: CommonFlags) => recover(flags)))
  command(program, 'drain', 'recovers until nothing of this app is prepared anywhere', [
    'assent drain                  # stop the application first',
    'assent drain --timeout 10min',
  ])
    .option('--timeout <time>', 'how long to wait: 500ms, 60s, 10min, 1h', '60s')
    .action(run((flags: DrainFlags) => drain(flags)))
  command(program, 'resolve', 'last resort: decides by hand what nothing else can decide', [
    'assent resolve GaBsznZVL2UdcQsaAYjh --abort --reason "INC-42: orders restored"',
    'assent resolve GaBsznZVL2UdcQsaAYjh --commit --register-lost --yes',
  ])
    .argument('<id>', AN_ID)
    .option('--commit', 'decide commit')
    .option('--abort', 'decide abort')
    .option('--yes', 'do not ask')
    .option('--reason <text>', 'why, for the record')
    .option('--by <name>', 'who decides, for the record (default: user@host)')
    .option('--register-lost', 'its register is gone for good, and can not be written')
    .action(run((id: string, flags: ResolveFlags) => resolve(id, flags)))
}

function addSchema(program: Command, run: Run): void {
  command(program, 'restored', 'to be run when a database was restored, before anybody uses it', [
    'assent restored orders',
    'assent restored orders --print | psql "$ORDERS_URL"',
  ])
    .argument('<participant>', 'its name in the configuration')
    .option('--print', 'only print the SQL')
    .action(run((name: string, flags: PrintFlags) => restored(name, flags)))
  command(program, 'migrate', "creates Assent's tables in every database", [
    'assent migrate',
    'assent migrate --print',
  ])
    .option('--print', 'only print the SQL')
    .action(run((flags: PrintFlags) => migrate(flags)))
}

function addDemo(program: Command, run: Run): void {
  command(program, 'demo', 'kills processes in the midst of transactions over databases of yours', [
    'assent demo --participant orders=env:ORDERS_URL --participant stock=env:STOCK_URL',
    'assent demo --time 10min --workers 8 --participant a=env:A_URL --participant b=env:B_URL',
  ])
    .option('--time <time>', 'for how long: 500ms, 60s, 10min, 1h', '20s')
    .option('--workers <count>', 'processes that run at the same time, 1 to 16', '3')
    .action(run((flags: DemoFlags) => demo(flags)))
}

function command(
  program: Command,
  name: string,
  description: string,
  examples: readonly string[],
): Command {
  return program
    .command(name)
    .description(description)
    .helpOption('--help', 'show this')
    .option('--json', 'print JSON')
    .option('--config <file>', 'the configuration (default: assent.config.{ts,js,mjs,json} here)')
    .option('--app <name>', 'the name of the app, where there is no configuration')
    .option(
      '--participant <name=url>',
      'a database, where there is no configuration; name=env:VARIABLE keeps its URL out of sight',
      (given: string, before: readonly string[] | undefined) => [...(before ?? []), given],
    )
    .option('--schema <name>', "the schema of Assent's tables in these (default: assent)")
    .addHelpText('after', `\nExamples:\n${examples.map((each) => `  ${each}\n`).join('')}`)
}

function addHelp(program: Command): void {
  program
    .command('completion')
    .description('prints what a shell needs to complete all this')
    .helpOption('--help', 'show this')
    .argument('<shell>', SHELLS.join(' or '))
    .addHelpText('after', '\nExamples:\n  eval "$(assent completion bash)"\n')
    .action((shell: string) => {
      if (!isShell(shell)) {
        const given = JSON.stringify(shell.slice(0, 40))
        throw new CommandError('usage', `${given} is no shell that is known: ${SHELLS.join(', ')}`)
      }
      process.stdout.write(completionFor(shell, program))
    })
  program
    .command('help')
    .description('help for a command, or the exit codes')
    .helpOption('--help', 'show this')
    .argument('[topic]', 'a command, or exit-codes')
    .action((topic: string | undefined) => {
      if (topic === 'exit-codes') {
        process.stdout.write(exitCodesText())
        return
      }
      const of =
        topic === undefined ? program : program.commands.find((each) => each.name() === topic)
      if (of === undefined) {
        const known = [...program.commands.map((each) => each.name()), 'exit-codes'].join(', ')
        const given = JSON.stringify(topic?.slice(0, 40))
        throw new CommandError('usage', `there is no help for ${given}. Expected one of ${known}`)
      }
      of.outputHelp()
    })
}

function isShell(text: string): text is Shell {
  return (SHELLS as readonly string[]).includes(text)
}
