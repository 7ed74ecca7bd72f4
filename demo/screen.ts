/**
 * Owns: what the demo prints, and how.
 * Promises: on a terminal one live line, rewritten in place; otherwise a plain line now and then.
 * Colours only on a terminal, and not with NO_COLOR.
 */
const isTerminal = process.stdout.isTTY
const hasColours = isTerminal && (process.env['NO_COLOR'] ?? '') === ''

const LIVE_EVERY_MS = 200
const PLAIN_EVERY_MS = 5_000

function colour(code: number): (text: string) => string {
  return (text) => (hasColours ? `\u001b[${code}m${text}\u001b[0m` : text)
}

export const bold = colour(1)
export const dim = colour(2)
export const red = colour(31)
export const green = colour(32)
export const yellow = colour(33)

export function count(value: number): string {
  return value.toLocaleString('en-US')
}

export function inWords(small: number): string {
  return ['none', 'one', 'two', 'three', 'four'][small] ?? String(small)
}

export function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(2)} s`
}

export class Screen {
  #live: { readonly line: () => string; readonly timer: NodeJS.Timeout } | undefined

  print(text = ''): void {
    this.#erase()
    process.stdout.write(`${text}\n`)
  }

  /** Shows a line that changes, until stopLive(). */
  startLive(line: () => string): void {
    const show = (): void => {
      if (isTerminal) process.stdout.write(`\r\u001b[2K${fit(line())}`)
      else process.stdout.write(`${line()}\n`)
    }
    const timer = setInterval(show, isTerminal ? LIVE_EVERY_MS : PLAIN_EVERY_MS)
    this.#live = { line, timer }
  }

  /** Leaves its last state behind as an ordinary line. */
  stopLive(): void {
    if (this.#live === undefined) return
    const { line, timer } = this.#live
    clearInterval(timer)
    this.#live = undefined
    if (isTerminal) process.stdout.write('\r\u001b[2K')
    process.stdout.write(`${line()}\n`)
  }

  /** For an interrupted demo. */
  dropLive(): void {
    if (this.#live === undefined) return
    clearInterval(this.#live.timer)
    this.#live = undefined
    if (isTerminal) process.stdout.write('\n')
  }

  #erase(): void {
    if (this.#live !== undefined && isTerminal) process.stdout.write('\r\u001b[2K')
  }
}

/** A line longer than the terminal would wrap, and could not be rewritten. */
function fit(line: string): string {
  const width = process.stdout.columns
  return width > 0 && line.length >= width ? line.slice(0, width - 1) : line
}
