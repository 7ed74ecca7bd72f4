/**
 * `npm start -- --trace`: one transaction's messages, phase by phase; then one that is killed after
 * its votes, and one that is killed before it learns of its own decision.
 *
 * Owns: three servers, a proxy before each that names the messages, and the processes behind them.
 * Promises: the messages are those that really passed; everything is cleaned up at the end.
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { WireProxy } from '../harness/wire-proxy.ts'
import type { ConnectionInfo, NamedMessage, Verdict } from '../harness/wire-proxy.ts'
import type { BackendAnswer, FrontendMessage } from '../harness/wire-frames.ts'
import { Bank } from './bank.ts'
import { startChild } from './child-process.ts'
import type { Child } from './child-process.ts'
import { connectPlainly } from './database.ts'
import type { Place } from './database.ts'
import { Screen, bold, dim, green, red, yellow } from './screen.ts'
import type { TraceOrder } from './trace-process.ts'
import type { Transfer } from './transfer.ts'
import { comesTrue } from './waiting.ts'
import { PHASES, answerOf, isAbout, phaseOf, textOf } from './wire-story.ts'
import type { Phase, Row } from './wire-story.ts'

const CONNECTIONS = 60
const DEADLINE_MS = 30_000
const TEXT_WIDTH = 53
const VICTIM = 'victim'
const RESCUER = 'rescuer'

/** Where the victim's COMMIT stands still while the victim is killed. */
type KillPoint = 'never' | 'before COMMIT reaches the decider' | 'after COMMIT, unanswered'

export async function trace(signal: AbortSignal): Promise<void> {
  const screen = new Screen()
  screen.print(dim('Starting three PostgreSQL servers, with a proxy before each …'))
  const bank = await Bank.open(['postgres'], CONNECTIONS)
  const stage = new TraceStage(bank, screen, signal)
  try {
    await stage.open()
    screen.print(dim('Times: when a message was sent, and when it was answered.'))
    await stage.healthy()
    await stage.killed('before COMMIT reaches the decider')
    await stage.killed('after COMMIT, unanswered')
  } finally {
    await stage.close()
  }
}

class TraceStage {
  readonly #bank: Bank
  readonly #screen: Screen
  readonly #signal: AbortSignal
  readonly #proxies = new Map<string, WireProxy>()
  readonly #children = new Map<Child, readonly string[]>()
  readonly #rows = new Map<NamedMessage, Row>()
  /** Connections whose last message asked a register, by database and ordinal. */
  readonly #asking = new Set<string>()
  #killAt: KillPoint = 'never'
  #isHeld = false
  #begun = 0
  #made = 0

  constructor(bank: Bank, screen: Screen, signal: AbortSignal) {
    this.#bank = bank
    this.#screen = screen
    this.#signal = signal
  }

  async open(): Promise<void> {
    for (const name of this.#bank.names) {
      const proxy = await WireProxy.listen({
        targetPort: this.#bank.server(name).port,
        name: (message, connection) => this.#name(name, message, connection),
        onRequest: (named) => this.#onRequest(name, named),
        onAnswer: (named, answer) => this.#onAnswer(named, answer),
      })
      this.#proxies.set(name, proxy)
    }
  }

  async healthy(): Promise<void> {
    const child = await this.#start(VICTIM)
    this.#title('One transaction over three databases')
    this.#begin('never')
    child.stdin.write(`${JSON.stringify(this.#transfer())}\n`)
    await this.#until('the transfer to commit', () => this.#said(child, 'committed'))
    this.#printRows()
    await this.#printEnd()
    child.stdin.end()
    await once(child, 'exit')
  }

  async killed(point: Exclude<KillPoint, 'never'>): Promise<void> {
    const rescuer = await this.#start(RESCUER)
    const victim = await this.#start(VICTIM)
    this.#title(
      point === 'before COMMIT reaches the decider'
        ? 'Killed after its votes, before its COMMIT reached the decider'
        : 'Killed when its COMMIT was durable, before it was told',
    )
    this.#begin(point)
    victim.stdin.write(`${JSON.stringify(this.#transfer())}\n`)
    await this.#until('the COMMIT to stand still', () => this.#isHeld)
    victim.kill('SIGKILL')
    await once(victim, 'exit')
    const left = await this.#prepared()
    await this.#until('recovery', async () => (await this.#prepared()) === 0)
    await this.#until('the last answers', () => this.#isQuiet())
    const [before, after] = [this.#rowsOf(VICTIM), this.#rowsOf(RESCUER)]
    this.#printRows(before)
    this.#screen.print(
      `\n  ${red('SIGKILL')}  ${left} branches are prepared after the victim's exit`,
    )
    this.#printRows(after)
    await this.#printEnd()
    rescuer.stdin.end()
    await once(rescuer, 'exit')
  }

  async close(): Promise<void> {
    for (const child of this.#children.keys()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    for (const proxy of this.#proxies.values()) await proxy.close()
    await this.#bank.close()
  }

  async #start(name: string): Promise<Child> {
    const places = this.#bank.places((at, url) => this.#proxies.get(at)?.url(url) ?? url)
    const order: TraceOrder = { name, places, first: this.#transfer() }
    this.#begin('never')
    const child = startChild('./trace-process.ts', order, 'inherit')
    const lines: string[] = []
    this.#children.set(child, lines)
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
    await this.#until(`${name} to be ready`, () => this.#said(child, 'ready'))
    return child
  }

  #said(child: Child, word: string): boolean {
    if (child.exitCode !== null) throw new Error(`a process ended with exit code ${child.exitCode}`)
    return this.#children.get(child)?.includes(word) ?? false
  }

  async #until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    if (await comesTrue(condition, DEADLINE_MS, this.#signal)) return
    throw new Error(`after ${DEADLINE_MS / 1_000} s still waiting for ${what}`)
  }

  #transfer(): Transfer {
    this.#made += 1
    return {
      id: `trace-${this.#made}`,
      parts: [
        { database: 'east', account: this.#made, amount: -10 },
        { database: 'west', account: this.#made, amount: 4 },
        { database: 'vault', account: this.#made, amount: 6 },
      ],
    }
  }

  // --- at the proxies ---------------------------------------------------------------------------

  #begin(killAt: KillPoint): void {
    this.#rows.clear()
    this.#killAt = killAt
    this.#isHeld = false
    this.#begun = performance.now()
  }

  #name(
    database: string,
    message: FrontendMessage,
    connection: ConnectionInfo,
  ): string | undefined {
    const key = `${database} ${connection.ordinal}`
    const phase = phaseOf(message, this.#asking.has(key))
    const isQuestion = phase === 'ask' && !this.#asking.has(key)
    if (isQuestion) this.#asking.add(key)
    else this.#asking.delete(key)
    return phase
  }

  #onRequest(database: string, named: NamedMessage): Verdict {
    const process = named.connection.application
    // To the one who recovers, ending a branch is not the same phase as to its owner.
    const phase = (process === RESCUER && named.name === 'apply' ? 'end' : named.name) as Phase
    const row: Row = {
      phase,
      database,
      process,
      text: textOf(named.message),
      sentAt: performance.now(),
      answer: '',
      answeredAt: undefined,
    }
    this.#rows.set(named, row)
    const isHeld = this.#isPoint(named, 'before COMMIT reaches the decider')
    if (isHeld) row.answer = 'never got there'
    return this.#hold(isHeld)
  }

  #onAnswer(named: NamedMessage, answer: BackendAnswer): Verdict {
    const row = this.#rows.get(named)
    if (row === undefined) return 'pass'
    if (row.phase === 'list' && !isAbout(answer, 'A1.')) {
      this.#rows.delete(named)
      return 'pass'
    }
    row.answer = answerOf(row.phase, answer)
    row.answeredAt = performance.now()
    const isHeld = this.#isPoint(named, 'after COMMIT, unanswered')
    if (isHeld) row.answer += ', and nobody was told'
    return this.#hold(isHeld)
  }

  #isPoint({ name, connection }: NamedMessage, point: KillPoint): boolean {
    return this.#killAt === point && name === 'decide' && connection.application === VICTIM
  }

  #hold(isHeld: boolean): Verdict {
    if (isHeld) this.#isHeld = true
    return isHeld ? 'hold' : 'pass'
  }

  // --- what is shown ----------------------------------------------------------------------------

  #title(text: string): void {
    this.#screen.print(`\n${bold(text)}`)
  }

  #rowsOf(process: string): readonly Row[] {
    return [...this.#rows.values()].filter((row) => {
      const isScan = process === VICTIM && row.phase === 'list'
      return row.process === process && !isScan
    })
  }

  #isQuiet(): boolean {
    return this.#rowsOf(RESCUER).every(({ answeredAt }) => answeredAt !== undefined)
  }

  #printRows(rows = this.#rowsOf(VICTIM)): void {
    let phase: Phase | undefined
    const explained = new Set<Phase>()
    for (const row of rows) {
      if (row.phase !== phase) {
        const words = explained.has(row.phase) ? '' : `: ${PHASES[row.phase]}`
        this.#screen.print(`\n  ${bold(row.phase)}${words}`)
        explained.add(row.phase)
      }
      phase = row.phase
      const [sent, answered] = [this.#ms(row.sentAt), this.#ms(row.answeredAt)]
      const text = `${row.database.padEnd(6)} ${row.text.padEnd(TEXT_WIDTH)}`
      this.#screen.print(`  ${dim(`${sent} ${answered} ms`)}  ${text} ${yellow('→')} ${row.answer}`)
    }
  }

  #ms(at: number | undefined): string {
    return (at === undefined ? '–' : (at - this.#begun).toFixed(1)).padStart(7)
  }

  async #prepared(): Promise<number> {
    let sum = 0
    for (const place of this.#bank.places().filter(({ prepares }) => prepares)) {
      sum += await this.#count(place, 'SELECT count(*)::int AS found FROM pg_prepared_xacts')
    }
    return sum
  }

  async #printEnd(): Promise<void> {
    const id = `trace-${this.#made}`
    const sql = `SELECT count(*)::int AS found FROM ledger WHERE transfer = '${id}'`
    const found: string[] = []
    for (const place of this.#bank.places()) {
      found.push(`${place.name} ${await this.#count(place, sql)}`)
    }
    const words = new Set(found.map((each) => each.split(' ')[1]))
    const verdict = words.size > 1 ? red('disagree') : words.has('1') ? 'committed' : 'aborted'
    this.#screen.print(
      `\n  ${green('SQL')}  ledger rows of this transfer: ${found.join(', ')}: ${verdict}`,
    )
    if (words.size > 1) throw new Error(`${id} is in some of its databases only`)
  }

  /** Not through the proxies. */
  async #count(place: Place, text: string): Promise<number> {
    const sql = await connectPlainly(place, { as: 'count' })
    try {
      const [row] = await sql.rows(text)
      return Number(row?.['found'])
    } finally {
      await sql.close()
    }
  }
}
