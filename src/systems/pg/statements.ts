/**
 * Reads just enough SQL to see transaction control in it.
 *
 * Owns: splitting a text into statements and naming what each does to the transaction.
 * Promises: finds every COMMIT, ROLLBACK, BEGIN or PREPARE TRANSACTION that PostgreSQL would find
 * under standard_conforming_strings = on, its default.
 * Never: is the only line of defence. A text that is read differently by the server (that setting
 * turned off) is caught by the tags it answers with, and by the branch's proof in the end.
 */

/** What a statement does to the transaction it runs in. */
export type Effect =
  | 'none'
  /** Stays inside, though its tag is that of ROLLBACK. */
  | 'rollback-to'
  /** Changes a setting beyond the transaction, or may. */
  | 'session'
  /** Changes who acts, and maybe for longer than the transaction. */
  | 'role'
  /** SET TRANSACTION, or a setting of the transaction's mode. */
  | 'mode'
  /** Changes the idle time-out, which frees what a vanished client holds. */
  | 'idle'
  /** Closes every cursor, and with them the one that proves the branch's transaction. */
  | 'cursors'
  /** Begins, ends or prepares a transaction. */
  | 'control'

interface StatementEffect {
  readonly effect: Effect
  /** `sees data`: it takes a snapshot by itself. */
  readonly verb: 'sees data' | 'copy' | 'other'
  /** It sets something, or hides what it does. */
  readonly setsSettings: boolean
  /** It may set the transaction's mode, or what new transactions begin with. */
  readonly setsMode: boolean
  /** It has the name of Assent's marks in it, or hides what it does: it may change them. */
  readonly namesMarks: boolean
  readonly statement: string
}

/** Programs send the same texts again and again: so many are read once. */
const MOST_KNOWN = 1_000
const LONGEST_KNOWN = 10_000
const known = new Map<string, readonly StatementEffect[]>()

/** What the statements of a text do, one entry for each. */
export function effectsOf(text: string): readonly StatementEffect[] {
  const before = known.get(text)
  if (before !== undefined) return before
  const effects = readEffects(text)
  if (text.length <= LONGEST_KNOWN) {
    if (known.size >= MOST_KNOWN) known.clear()
    known.set(text, effects)
  }
  return effects
}

/** Whether a text that is given a name can't begin, end or undo a transaction when somebody runs it. */
export function isHarmless(text: string): boolean {
  return split(text).every((statement) => {
    const effect = effectOf(statement)
    return effect !== 'control' && effect !== 'rollback-to'
  })
}

function readEffects(text: string): readonly StatementEffect[] {
  // In all of it: what is a comment to us may be none to the server.
  const isSuspect = /set_config|pg_settings|\bu&"/i.test(text)
  // The body of CREATE FUNCTION … BEGIN ATOMIC … END has semicolons, and an END of its own.
  let isInBody = false
  return split(text).map((statement) => {
    const isHidden = /^(?:do|call)\b|\bexecute\b/i.test(statement)
    const namesMarks = isHidden || /\bmark\b/i.test(statement)
    const setsSettings = isHidden || isSuspect || /^(?:set|reset|discard)\b/i.test(statement)
    const verb = verbOf(statement)
    if (isInBody) {
      isInBody = !/^end\b/i.test(statement)
      return { effect: 'none', verb, setsSettings, setsMode: false, namesMarks, statement }
    }
    isInBody = /^create\b[\s\S]*\bbegin\s+atomic\b/i.test(statement)
    const effect = effectOf(statement)
    const setsMode = effect === 'mode' || maySetMode(statement)
    return { effect, verb, setsSettings, setsMode, namesMarks, statement }
  })
}

/** Unless it sets what it names, and that is something else: a search path, or who the tenant is. */
function maySetMode(statement: string): boolean {
  const rest = statement.replace(/set_config\s*\(\s*'[^']*'\s*,/gi, '')
  if (/set_config/i.test(rest)) return true
  return /^(?:set|reset|discard)\b/i.test(rest) && /transaction|characteristics|u&/i.test(rest)
}

function verbOf(statement: string): StatementEffect['verb'] {
  if (/^copy\b/i.test(statement)) return 'copy'
  const seesData = /^(?:select|insert|update|delete|merge|with|values)\b/i.test(statement)
  return seesData ? 'sees data' : 'other'
}

const IDLE = /IDLE_IN_TRANSACTION_SESSION_TIMEOUT/i

function effectOf(statement: string): Effect {
  const [first = '', second = '', third = ''] = statement
    .toUpperCase()
    .split(/[\s("']+/, 3)
    .map((word) => word.trim())
  switch (first) {
    case 'BEGIN':
    case 'START':
    case 'COMMIT':
    case 'END':
    case 'ABORT':
      return 'control'
    case 'ROLLBACK': {
      const isTo = second === 'TO' || (['WORK', 'TRANSACTION'].includes(second) && third === 'TO')
      return isTo ? 'rollback-to' : 'control'
    }
    case 'PREPARE':
      return second === 'TRANSACTION' ? 'control' : 'none'
    case 'SET':
      if (IDLE.test(statement)) return 'idle'
      if (/TRANSACTION/.test(`${second} ${third}`)) return 'mode'
      if (/ROLE|AUTHORIZATION/.test(statement.slice(0, 60).toUpperCase())) return 'role'
      return second === 'LOCAL' || second === 'CONSTRAINTS' ? 'none' : 'session'
    case 'RESET':
      return IDLE.test(statement) || second === 'ALL' ? 'idle' : 'session'
    case 'DISCARD':
      return 'session'
    case 'CLOSE':
      return second === 'ALL' ? 'cursors' : 'none'
    default:
      if (/TRANSACTION_READ_ONLY/i.test(statement)) return 'mode'
      if (!/SET_CONFIG/i.test(statement)) return 'none'
      if (IDLE.test(statement)) return 'idle'
      return /ROLE|AUTHORIZATION/i.test(statement) ? 'role' : 'session'
  }
}

/** Comments, quoted texts and dollar-quoted bodies, each of which hides a semicolon. */
const TOKEN =
  /--[^\n\r]*|\/\*|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\$([A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$|;|[\s\S]/gy
const ESCAPE_STRING = /'(?:[^'\\]|''|\\[\s\S])*'?/y

function split(text: string): readonly string[] {
  const statements: string[] = []
  let current = ''
  let at = 0
  while (at < text.length) {
    const token = tokenAt(text, at, current)
    at += token.length
    if (token === ';') {
      statements.push(current)
      current = ''
    } else {
      current += isComment(token) ? ' ' : token
    }
  }
  statements.push(current)
  return statements.map((statement) => statement.trim()).filter((statement) => statement !== '')
}

function isComment(token: string): boolean {
  return token.startsWith('--') || token.startsWith('/*')
}

function tokenAt(text: string, at: number, before: string): string {
  // E'…' knows backslash escapes; the E must not be the end of a longer word.
  if (text[at] === "'" && /(?:^|[^A-Za-z0-9_$\u0080-\uffff])[eE]$/.test(before.slice(-2))) {
    ESCAPE_STRING.lastIndex = at
    return ESCAPE_STRING.exec(text)?.[0] ?? "'"
  }
  TOKEN.lastIndex = at
  const match = TOKEN.exec(text)
  const token = match?.[0] ?? text.charAt(at)
  if (token === '/*') return blockComment(text, at)
  // A $ inside a word (an identifier or a parameter) opens nothing.
  if (token.length > 1 && token.startsWith('$') && !/[A-Za-z0-9_$\u0080-\uffff]$/.test(before)) {
    const end = text.indexOf(token, at + token.length)
    return end === -1 ? text.slice(at) : text.slice(at, end + token.length)
  }
  return token.startsWith('$') ? '$' : token
}

/** PostgreSQL's block comments nest. */
function blockComment(text: string, start: number): string {
  let depth = 0
  for (let at = start; at < text.length; at += 1) {
    const pair = text.slice(at, at + 2)
    if (pair === '/*') depth += 1
    if (pair === '*/') depth -= 1
    if (pair === '/*' || pair === '*/') at += 1
    if (depth === 0) return text.slice(start, at + 1)
  }
  return text.slice(start)
}
