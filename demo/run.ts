/**
 * The main job: transfers while everything is being killed, then the proof.
 *
 * Owns: the order of it all, and cleaning up.
 * Promises: when it returns or throws, no process, server or folder of it is left, except the
 * workers' answers and the servers' folders when something disagrees.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RecordedTransfer } from './answer-log.ts'
import { Audit } from './audit.ts'
import { ACCOUNTS, OPENING_BALANCE } from './accounts.ts'
import { Bank, describeServers } from './bank.ts'
import { Crew } from './crew.ts'
import { Faults } from './faults.ts'
import { describeDatabaseKills, describeWorkerKills, workerKills } from './kill-report.ts'
import { Observer } from './observer.ts'
import type { RunOptions } from './options.ts'
import { prove } from './proof.ts'
import type { Check, Proof } from './proof.ts'
import { Screen, bold, count, dim, green, inWords, red } from './screen.ts'
import { comesTrue } from './waiting.ts'

/** Connections of one worker to one database: a pool of 10, and Assent's own. */
const CONNECTIONS_PER_WORKER = 16
/** Killed workers' sessions may still be there when their successors connect. */
const SPARE_CONNECTIONS = 60
const RECOVERY_TIMEOUT_MS = 60_000
const SHOWN_DISAGREEMENTS = 20
/**
 * Whatever is killed, these are wrong: the databases are what they have to be, nobody else is at work
 * on them, and the workers use Assent as it is meant.
 */
const UNJUSTIFIED: ReadonlySet<string> = new Set([
  'ASSENT_BRANCH_ENDED',
  'ASSENT_CANNOT_PREPARE',
  'ASSENT_CREDENTIALS',
  'ASSENT_INVARIANT',
  'ASSENT_LOST_VOTE',
  'ASSENT_NOT_DURABLE',
  'ASSENT_POOLER',
  'ASSENT_PRIVILEGE',
  'ASSENT_REPLICA',
  'ASSENT_SAME_DATABASE',
  'ASSENT_SCHEMA_VERSION',
  'ASSENT_SWALLOWED_ERROR',
  'ASSENT_TRANSACTION_CONTROL',
  'ASSENT_UNSUPPORTED',
])

/** What has to be closed, whatever happens. */
interface Stage {
  readonly folder: string
  readonly bank: Bank
  crew?: Crew
  observer?: Observer
  audit?: Audit
}

/** Returns the number of disagreements. */
export async function run(options: RunOptions, signal: AbortSignal): Promise<number> {
  const screen = new Screen()
  const folder = mkdtempSync(join(tmpdir(), 'assent-demo-'))
  let isKept = false
  try {
    screen.print(dim(`Starting ${describeServers(options.databases)} …`))
    const clients = options.workers * CONNECTIONS_PER_WORKER + SPARE_CONNECTIONS
    const bank = await Bank.open(options.databases, clients)
    const stage: Stage = { folder, bank }
    try {
      signal.throwIfAborted()
      const disagreements = await play(options, stage, screen, signal)
      isKept = disagreements.length > 0
      conclude(disagreements, folder, screen)
      return disagreements.length
    } finally {
      screen.dropLive()
      await close(stage, isKept)
    }
  } finally {
    if (!isKept) rmSync(folder, { recursive: true, force: true })
  }
}

async function play(
  options: RunOptions,
  stage: Stage,
  screen: Screen,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { bank, folder } = stage
  const places = bank.places()
  await introduce(options, bank, screen)
  const observer = new Observer(places, (txid) => crew.ownerOf(txid))
  stage.observer = observer
  const onKilled = (): void => {
    for (const database of observer.watched) void observer.look(database)
  }
  const { seed, workers: size } = options
  const crew = new Crew({ folder, places, seed, size, onKilled })
  stage.crew = crew
  const durationMs = options.seconds * 1_000
  const faults = new Faults({ bank, crew, observer, seed, durationMs, signal })
  showProgress(options, { crew, observer, faults }, screen)
  await faults.run()
  screen.stopLive()

  screen.print(dim('Time is over: the workers recover what is left and finish …'))
  const disagreements: string[] = []
  if (!(await comesTrue(() => isRecovered(crew, observer), RECOVERY_TIMEOUT_MS, signal))) {
    disagreements.push(`recovery left something prepared for ${RECOVERY_TIMEOUT_MS / 1_000} s`)
  }
  await crew.finish(signal)
  disagreements.push(...crew.faults)
  const audit = new Audit(places, signal)
  stage.audit = audit
  const asked = await audit.ask(idsToAsk(crew))
  await comesTrue(() => observer.preparedNow === 0, RECOVERY_TIMEOUT_MS, signal)
  const badEnd = await audit.close()
  if (badEnd !== undefined) disagreements.push(badEnd)
  await observer.close()

  const { openingTotal } = bank
  const proof = await prove({ places, openingTotal, transfers: crew.transfers, asked })
  const kills = workerKills(crew, observer, proof.present)
  const counted = bank.isMixed ? observer.watched : []
  screen.print(`\n${bold('What was killed')}`)
  for (const line of describeWorkerKills(kills, counted)) screen.print(line)
  screen.print()
  for (const line of describeDatabaseKills(faults.databaseKills)) screen.print(line)
  if (bank.isMixed) {
    screen.print(`\n${bold('Who decided, and who voted, in what was told committed')}`)
    for (const line of describeRoles(crew.transfers, bank.names)) screen.print(line)
  }
  screen.print(`\n${bold('What workers were told instead of committed')}`)
  screen.print(describeCodes(crew))
  printProof(proof, screen)
  disagreements.push(...unjustified(crew.transfers))
  return [...disagreements, ...proof.checks.flatMap((check) => check.disagreements)]
}

async function introduce(options: RunOptions, bank: Bank, screen: Screen): Promise<void> {
  const { databases, seconds, workers, seed } = options
  const many = inWords(bank.names.length)
  const title = `Assent: money moves between ${many} databases while everything is being killed`
  screen.print(bold(title))
  const which = bank.isMixed ? ` --databases ${databases.join(',')}` : ''
  screen.print(`  --seconds ${seconds} --workers ${workers} --seed ${seed}${which}`)
  for (const [name, note] of await bank.notes()) {
    screen.print(`  ${name.padEnd(6)} 127.0.0.1:${bank.server(name).port}  ${note}`)
  }
  const accounts = `${count(ACCOUNTS)} accounts of ${OPENING_BALANCE} in each`
  screen.print(`  ${accounts}: ${count(bank.openingTotal)} in total\n`)
}

interface Players {
  readonly crew: Crew
  readonly observer: Observer
  readonly faults: Faults
}

function showProgress(options: RunOptions, players: Players, screen: Screen): void {
  const { crew, observer, faults } = players
  const begun = performance.now()
  screen.startLive(() => {
    crew.readLogs()
    const passed = Math.min((performance.now() - begun) / 1_000, options.seconds)
    const { committed, aborted, unknown } = crew.counts
    return [
      `${passed.toFixed(0).padStart(3)} s`,
      `committed ${count(committed).padStart(6)}`,
      `aborted ${count(aborted).padStart(5)}`,
      `unknown ${count(unknown).padStart(3)}`,
      `killed ${crew.killed.length} workers, ${faults.databaseKills.length} databases`,
      `prepared now ${observer.preparedNow}`,
    ].join('  ')
  })
}

/** Nothing of a killed worker is prepared any more; the others are at work meanwhile. */
function isRecovered(crew: Crew, observer: Observer): boolean {
  crew.readLogs()
  return observer.sightings.every(({ goneAt, txid }) => {
    if (goneAt !== undefined) return true
    const owner = crew.ownerOf(txid)
    return owner !== undefined && owner.kill === undefined
  })
}

/** Those that nobody has told for certain what became of them. */
function idsToAsk(crew: Crew): readonly string[] {
  return crew.transfers.flatMap(({ answer, txid }) => {
    if (answer === 'none') return [txid]
    return answer.outcome === 'unknown' ? [answer.transactionId] : []
  })
}

/** A line for each database. */
function describeRoles(
  transfers: readonly RecordedTransfer[],
  names: readonly string[],
): readonly string[] {
  const committed = transfers.flatMap(({ transfer, answer }) =>
    answer !== 'none' && answer.outcome === 'committed'
      ? [{ decider: answer.decider, joined: transfer.parts.map(({ database }) => database) }]
      : [],
  )
  return names.map((name) => {
    const decided = committed.filter(({ decider }) => decider === name).length
    const joined = committed.filter((each) => each.joined.includes(name)).length
    const [some, others] = [decided, joined - decided].map((each) => count(each).padStart(7))
    return `  ${name.padEnd(6)} decided ${some}   voted ${others}`
  })
}

/** What workers were told and nothing that happened here explains. */
function unjustified(transfers: readonly RecordedTransfer[]): readonly string[] {
  const codes = transfers.flatMap(({ answer }) => (answer === 'none' ? [] : [answer.code]))
  const some = Map.groupBy(
    codes.filter((code) => UNJUSTIFIED.has(code)),
    (code) => code,
  )
  return [...some].map(
    ([code, { length }]) => `${count(length)} were told ${code} without a reason`,
  )
}

/** Such as `ASSENT_UNREACHABLE 12`, the most frequent first. */
function describeCodes(crew: Crew): string {
  const answers = crew.transfers.flatMap(({ answer }) => (answer === 'none' ? [] : [answer]))
  const failed = answers.filter(({ outcome }) => outcome !== 'committed')
  return [...Map.groupBy(failed, ({ outcome, code }) => `${outcome} ${code}`)]
    .sort(([, some], [, others]) => others.length - some.length)
    .map(([name, some]) => `  ${name.padEnd(44)}${count(some.length).padStart(6)}`)
    .join('\n')
}

function printProof(proof: Proof, screen: Screen): void {
  screen.print(`\n${bold('Proof by plain SQL, against what the workers had written down')}`)
  const width = Math.max(...proof.checks.map(({ promise }) => promise.length))
  for (const check of proof.checks) screen.print(`  ${checkLine(check, width)}`)
}

function checkLine({ promise, found, disagreements }: Check, width: number): string {
  if (disagreements.length === 0) return `${green('ok')}  ${promise.padEnd(width)}  ${found}`
  const wrong = `${count(disagreements.length)} disagree`
  return `${red('!!')}  ${promise.padEnd(width)}  ${red(wrong)}`
}

function conclude(disagreements: readonly string[], folder: string, screen: Screen): void {
  screen.print()
  if (disagreements.length === 0) {
    screen.print(green('Nothing disagrees.'))
    return
  }
  screen.print(red(`${count(disagreements.length)} disagree:`))
  for (const each of disagreements.slice(0, SHOWN_DISAGREEMENTS)) screen.print(`  ${each}`)
  screen.print(`The workers' answers and the servers' folders are kept in ${folder}.`)
}

async function close(
  { crew, observer, audit, bank, folder }: Stage,
  isKept: boolean,
): Promise<void> {
  await Promise.all([crew?.abandon(), observer?.close(), audit?.abandon()])
  await bank.close(isKept ? folder : undefined)
}
