/**
 * Owns: what passed between one transaction's process and its databases, as events and as text.
 * Promises: the text of two healthy transactions is the same: ids and numbers are masked,
 * and what leaves in parallel is sorted; every order that the protocol needs is still to be seen.
 * Never: leaves out a message.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { BackendAnswer, FrontendMessage } from '../../harness/wire.ts'
import { participantOf, phaseOf } from './message-names.ts'

export interface WireEvent {
  readonly name: string
  readonly point: 'sent' | 'answered'
  readonly text: string
}

export function sent(name: string, { statements }: FrontendMessage): WireEvent {
  const texts = collapse(statements.map(({ sql }) => masked(sql)))
  return { name, point: 'sent', text: texts.map((text) => `\n    ${text}`).join('') }
}

export function answered(name: string, answer: BackendAnswer): WireEvent {
  const tags = collapse(answer.commandTags)
  const reports = [...answer.errors, ...answer.notices].map(({ sqlState }) => ` !${sqlState}`)
  const text = `: ${tags.join(', ')} (${answer.status})${reports.join('')}`
  return { name, point: 'answered', text }
}

/**
 * What leaves in parallel may pass in any order: first what was sent to each, then all answers; where
 * each is sent several messages, one after the other, so for the first of them, the second, …
 */
export function sorted(events: readonly WireEvent[]): readonly WireEvent[] {
  const runs: WireEvent[][] = []
  for (const event of events) {
    const run = runs.at(-1)
    if (run?.[0] && phaseOf(run[0].name) === phaseOf(event.name)) run.push(event)
    else runs.push([event])
  }
  return runs.flatMap((run) => {
    const key = ({ name, point }: WireEvent): string =>
      `${stepIn(run, name)} ${point === 'sent' ? 0 : 1} ${name}`
    return run.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
  })
}

/** Which of its participant's messages in the run it is. */
function stepIn(run: readonly WireEvent[], name: string): number {
  const own = run.filter((each) => participantOf(each.name) === participantOf(name))
  const step = own.findIndex((each) => each.name === name)
  return own.slice(0, step).filter(({ point }) => point === 'sent').length
}

export function render(events: readonly WireEvent[]): string {
  return sorted(events)
    .map(({ name, point, text }) => `${name} ${point}${text}\n`)
    .join('')
}

const TIME_OUTS = 'SET LOCAL <time-outs>'

export class Golden {
  readonly #path: string
  readonly #title: string

  constructor(path: string, title: string) {
    this.#path = path
    this.#title = title
  }

  /** With ASSENT_REWRITE=1 the file is written anew, to be read and committed. */
  expected(events: readonly WireEvent[]): string {
    const text = this.text(events)
    if (process.env['ASSENT_REWRITE'] === '1') writeFileSync(this.#path, text)
    return this.#read()
  }

  text(events: readonly WireEvent[]): string {
    return `# ${this.#title}\n# Rewrite with ASSENT_REWRITE=1.\n${render(events)}`
  }

  /** Each message as it stands in the file, in order: `orders begin 1`, … */
  get messages(): readonly string[] {
    return this.points.filter((event) => event.point === 'sent').map(({ name }) => name)
  }

  get points(): readonly Pick<WireEvent, 'name' | 'point'>[] {
    const lines = this.#read().matchAll(/^(\S+ \S+ \d+) (sent|answered)/gm)
    return [...lines].map(([, name = '', point]) => ({
      name,
      point: point === 'sent' ? 'sent' : 'answered',
    }))
  }

  #read(): string {
    return existsSync(this.#path) ? readFileSync(this.#path, 'utf8') : ''
  }
}

/** The time-outs stand as one: which ones there are depends on the server's system. */
function collapse(texts: readonly string[]): readonly string[] {
  const isOneOfMany = (text: string): boolean => text === TIME_OUTS || text === 'SET'
  return texts.filter((text, at) => text !== texts[at - 1] || !isOneOfMany(text))
}

function masked(sql: string): string {
  return (
    sql
      .replace(/\s+/g, ' ')
      .replace(/^SET LOCAL (tcp_\w+|\w+_timeout|client_connection_check_interval) = .*$/, TIME_OUTS)
      .replace(/'(A\d+\.[^.']+\.[^.']+)\.[^.']+\.[^.']+\.([^.']+)'/g, "'$1.<epoch>.<txid>.$2'")
      // MySQL's: two parts, the second with the connection and the server's start; values are in the text.
      .replace(
        /'(A\d+\.[^.']+\.[^.']+)\.[^.']+\.[^.']+','([^.']+)\.[^.']+\.[^.']+',(\d+)/g,
        "'$1.<epoch>.<txid>','$2.<connection>.<start>',$3",
      )
      .replace(
        /VALUES \('[^']{20}', (.*), ('[^']+', '[^']+'), '[^']{8}', ('\[)/,
        'VALUES (<txid>, $1, $2, <epoch>, $3',
      )
      .replace(/epoch\.id = '[^']{8}'/, 'epoch.id = <epoch>')
      .replace(/'item-\d+'/, '<item>')
  )
}
