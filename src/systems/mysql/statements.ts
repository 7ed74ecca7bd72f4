/**
 * Reads just enough SQL to see transaction control in it.
 *
 * Owns: splitting a text into statements and naming those that end or begin a transaction, or commit
 * it by themselves.
 * Never: is the line of defence. Inside XA START the server refuses all of these (1399) and changes
 * nothing; this only makes the error say what to do.
 */

export interface Control {
  /** The statement's first words. */
  readonly words: string
  /** `control`: meant to begin or end a transaction. `commits`: does so besides what it is meant for. */
  readonly kind: 'control' | 'commits'
}

/** Programs send the same texts again and again: so many are read once. */
const MOST_KNOWN = 1_000
const LONGEST_KNOWN = 10_000
const known = new Map<string, Control | undefined>()

/** The first statement in the text that XA does not allow. */
export function controlIn(text: string): Control | undefined {
  if (known.has(text)) return known.get(text)
  const control = readControl(text)
  if (text.length <= LONGEST_KNOWN) {
    if (known.size >= MOST_KNOWN) known.clear()
    known.set(text, control)
  }
  return control
}

function readControl(text: string): Control | undefined {
  for (const statement of split(text)) {
    const kind = kindOf(statement)
    if (kind === undefined) continue
    return { kind, words: statement.split(/\s+/).slice(0, 3).join(' ').slice(0, 40) }
  }
  return undefined
}

/** Statements that commit what is open (MySQL manual, "Statements That Cause an Implicit Commit"). */
const COMMITS =
  /^(?:alter|analyze(?=\s+(?:(?:local|no_write_to_binlog)\s+)?table)|cache\s+index|change\s+(?:master|replication)|check\s+table|create(?!\s+(?:or\s+replace\s+)?temporary\b)|drop(?!\s+(?:temporary|prepare)\b)|flush|grant|install|load\s+index|lock\s+tables?|optimize|rename|repair|reset|revoke|set\s+password|start\s+(?:slave|replica|all)|stop\s+(?:slave|replica|all)|truncate|uninstall|unlock\s+tables?)\b/i
const CONTROL = /^(?:commit|start\s+transaction|xa|begin(?!\s+not\s+atomic\b))\b/i
const AUTOCOMMIT = /^set\b[^'"]*\bautocommit\s*:?=/i

function kindOf(statement: string): Control['kind'] | undefined {
  if (CONTROL.test(statement) || AUTOCOMMIT.test(statement)) return 'control'
  if (/^rollback\b/i.test(statement)) {
    return /^rollback\s+(?:work\s+)?to\b/i.test(statement) ? undefined : 'control'
  }
  return COMMITS.test(statement) ? 'commits' : undefined
}

/** Comments and quoted texts, each of which hides a semicolon. */
const TOKEN =
  /--(?=[\s]|$)[^\n]*|#[^\n]*|\/\*(?![!M])[\s\S]*?(?:\*\/|$)|'(?:[^'\\]|''|\\[\s\S])*'?|"(?:[^"\\]|""|\\[\s\S])*"?|`(?:[^`]|``)*`?|;|[^'"`#;/-]+|[\s\S]/gy

function split(text: string): readonly string[] {
  const statements: string[] = []
  let current = ''
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === ';') {
      statements.push(current)
      current = ''
    } else {
      current += /^(?:--|#|\/\*)/.test(token) ? ' ' : token
    }
  }
  statements.push(current)
  // What is in an executable comment runs: /*! COMMIT */, /*M!100100 COMMIT */.
  return statements
    .map((statement) => statement.replace(/\/\*M?!\d*/g, ' ').trim())
    .filter((statement) => statement !== '')
}
