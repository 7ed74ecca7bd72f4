/**
 * Owns: what the messages of Assent mean, told from outside: from the bytes on the wire alone.
 * Promises: every message of the work, the commit path and of recovery becomes one row; what is not
 * about a transaction (opening connections, scans that find nothing) becomes none.
 */
import type { BackendAnswer, FrontendMessage } from '../harness/wire-frames.ts'

export type Phase = 'work' | 'claim' | 'vote' | 'decide' | 'apply' | 'list' | 'ask' | 'end'

export const PHASES: Readonly<Record<Phase, string>> = {
  work: 'the function runs; a database joins at its first statement',
  claim: 'the decider gets the row that will be the decision; vault decides, as it cannot prepare',
  vote: 'in parallel: a receipt and PREPARE; only both answers together are a yes',
  decide: 'COMMIT in the decider: once it is durable there, the transaction is committed for ever',
  apply: 'in parallel: the prepared branches obey',
  list: 'the scan of another process finds what is prepared',
  ask: 'it asks the register that the branch names: INSERT the same key, or read what has it',
  end: 'the branch obeys what the register said',
}

export interface Row {
  readonly phase: Phase
  readonly database: string
  readonly process: string
  readonly text: string
  readonly sentAt: number
  answer: string
  answeredAt: number | undefined
}

/** The phase of a message, by its SQL; `asked` says whether this connection has just asked. */
export function phaseOf(message: FrontendMessage, asked: boolean): Phase | undefined {
  const sql = message.statements.map((statement) => statement.sql)
  const has = (words: string): boolean => sql.some((text) => text.includes(words))
  if (has('PREPARE TRANSACTION')) return 'vote'
  if (has('ON CONFLICT (txid)')) return 'ask'
  if (has('INSERT INTO "assent".mark')) return 'claim'
  if (has('COMMIT PREPARED') || has('ROLLBACK PREPARED')) return 'apply'
  if (has('LEFT JOIN pg_prepared_xacts')) return 'list'
  if (asked && (sql.at(-1) === 'COMMIT' || sql.at(-1) === 'ROLLBACK')) return 'ask'
  if (has('ledger') || has('UPDATE account')) return 'work'
  // In front of it stands what has to be true of it; Assent's own transactions begin with BEGIN.
  return sql.at(-1) === 'COMMIT' && !has('BEGIN') ? 'decide' : undefined
}

export function textOf({ statements }: FrontendMessage): string {
  const words = statements.map(({ sql }) => brief(sql.replace(/\s+/g, ' ').trim()))
  return words.filter((word, at) => word !== '' && word !== words[at - 1]).join(' · ')
}

function brief(sql: string): string {
  if (sql.includes('INSERT INTO "assent".mark')) {
    return sql.includes('ON CONFLICT') ? 'INSERT mark or read it' : 'INSERT mark'
  }
  if (sql.includes('UPDATE "assent".mark')) return 'UPDATE mark'
  if (sql.startsWith('SET ') || sql.includes('set_config')) return 'settings'
  if (sql.includes('pg_prepared_xacts')) return 'SELECT what is prepared'
  if (sql.includes('"assent".epoch')) return 'SELECT is the epoch still remembered?'
  return sql
    .replace(' ISOLATION LEVEL READ COMMITTED READ WRITE', '')
    .replace(/^(INSERT INTO \w+).*/, '$1 …')
    .replace(/^(UPDATE \w+).*/, '$1 …')
    .replace(/'A1\.[^']*\.(\w+)'/, "'…$1'")
}

export function answerOf(phase: Phase, answer: BackendAnswer): string {
  const [error] = answer.errors
  if (error !== undefined) {
    return error.sqlState === '55P03'
      ? 'it waits: somebody still has the key; ask again'
      : `${error.severity} ${error.sqlState}: ${error.text}`
  }
  const rows = readRows(answer.bytes)
  if (phase === 'list') return `${rows.length} prepared`
  const [row] = rows
  if (phase === 'ask' && row !== undefined) {
    if (row.length === 2) {
      return row[1] === '0'
        ? 'the key was free: the claim died with its owner'
        : `found: ${String(row[0])}`
    }
    return row[0] === 't' ? 'yes: so a missing row means abort' : 'no: left for a person'
  }
  const tags = answer.commandTags.filter((tag) => !/^(SET|SELECT)/.test(tag))
  return tags.join(' · ')
}

/** Only a scan that found this transaction belongs to its story. */
export function isAbout(answer: BackendAnswer, gidPart: string): boolean {
  return answer.bytes.includes(gidPart)
}

/** The values of every DataRow, as text. */
function readRows(bytes: Buffer): readonly (readonly (string | null)[])[] {
  const rows: (string | null)[][] = []
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    if (bytes[at] !== 'D'.charCodeAt(0)) continue
    const row: (string | null)[] = []
    let next = at + 7
    for (let column = bytes.readInt16BE(at + 5); column > 0; column -= 1) {
      const length = bytes.readInt32BE(next)
      next += 4
      row.push(length < 0 ? null : bytes.toString('utf8', next, next + length))
      next += Math.max(length, 0)
    }
    rows.push(row)
  }
  return rows
}
