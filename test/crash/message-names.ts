/**
 * Owns: the names of the messages of a transaction or of a recovery, `orders vote 1`: participant,
 * kind, ordinal.
 * Promises: the kind is told by the SQL alone, so the proxy outside a process and the kill points
 * inside it give the same message the same name.
 * Never: imports Assent. A message that it does not know is `work`, and changes the transcript.
 */
import type { ConnectionInfo } from '../../harness/wire-proxy.ts'
import type { FrontendMessage } from '../../harness/wire.ts'
import type { System } from './crash-database.ts'
import { MysqlMessageNames } from './mysql-message-names.ts'

export type Kind =
  | 'facts'
  /** BEGIN, the first statement behind it, and between them the claim if this branch decides. */
  | 'begin'
  /** The idle time-out of a branch on MySQL, before its XA START, where that is another message. */
  | 'session'
  | 'work'
  /** A claim that did not go along with BEGIN, or has to become another one. */
  | 'claim'
  /** What must be true of COMMIT where the claim went along with BEGIN, asked beforehand. */
  | 'secure'
  | 'vote'
  /**
   * On MySQL: XA END behind the claim; and behind the receipt, which is a message of its own there. On
   * MariaDB it is in one message with the claim or the receipt, and named as that is.
   */
  | 'seal'
  | 'receipt'
  | 'end-work'
  /** COMMIT of a branch that wrote no claim: a declared reader. */
  | 'commit'
  /**
   * COMMIT of the branch that wrote the claim. With a binary log, MySQL's decider is prepared first:
   * that is the decision, as whoever finds it so commits it; its XA COMMIT is `finish`.
   */
  | 'decide'
  | 'finish'
  | 'apply'
  | 'undo'
  /** Nothing but a Sync. */
  | 'drain'
  /** *Ask*, and its two ways to go on: obeying what was found, or looking what absence means. */
  | 'ask'
  | 'obey'
  | 'remember'

/** Names the messages of one process to one participant. */
export type Namer = (
  message: FrontendMessage,
  connection: Pick<ConnectionInfo, 'ordinal'>,
) => string | undefined

export function namer(
  participant: string,
  system: System,
  task: 'transfer' | 'recover' = 'transfer',
): Namer {
  if (system === 'postgres') {
    const names = new MessageNames()
    return (message) => names.name(participant, message)
  }
  const names = new MysqlMessageNames(task)
  return (message, { ordinal }) => names.name(participant, message, ordinal)
}

export class MessageNames {
  readonly #counts = new Map<string, number>()

  /** The name of its next message; none for what is said again and again: scans, sessions. */
  name(participant: string, message: FrontendMessage): string | undefined {
    if (message.statements.some(({ sql }) => UNNAMED.test(sql))) return undefined
    const kind = this.#kindOf(participant, message)
    const stem = `${participant} ${kind}`
    const ordinal = (this.#counts.get(stem) ?? 0) + 1
    this.#counts.set(stem, ordinal)
    return `${stem} ${ordinal}`
  }

  #kindOf(participant: string, { statements }: FrontendMessage): Kind {
    const all = statements.map(({ sql }) => sql).join(';\n')
    const first = statements[0]?.sql ?? ''
    const last = statements.at(-1)?.sql ?? ''
    if (statements.length === 0) return 'drain'
    if (/^COMMIT PREPARED /.test(first)) return 'apply'
    if (/^ROLLBACK/.test(first)) return 'undo'
    if (last === 'COMMIT' && !/^BEGIN/.test(first)) {
      if (DURABLE.test(all) || this.#isSecured(participant)) return 'decide'
      return this.#counts.has(`${participant} ask`) ? 'obey' : 'commit'
    }
    if (/\sON CONFLICT \(txid\) /.test(all)) return 'ask'
    if (/^SELECT EXISTS \(SELECT FROM "assent"\.epoch/.test(first)) return 'remember'
    if (/^BEGIN/.test(first)) return 'begin'
    if (/\bPREPARE TRANSACTION /.test(all)) return 'vote'
    if (/INSERT INTO "assent"\.mark|UPDATE "assent"\.mark/.test(all)) return 'claim'
    if (/^SET CONSTRAINTS/.test(first) && DURABLE.test(all)) return 'secure'
    if (/current_setting\('server_version_num'\)/.test(all)) return 'facts'
    return 'work'
  }

  #isSecured(participant: string): boolean {
    return ['claim', 'secure'].some((kind) => this.#counts.has(`${participant} ${kind}`))
  }
}

/** Whatever decides waits for the disk. */
const DURABLE = /\bsynchronous_commit\b/
const UNNAMED = /FROM pg_stat_activity|set_config\('application_name'/

export function kindOf(name: string): Kind {
  return name.split(' ')[1] as Kind
}

export function participantOf(name: string): string {
  return name.split(' ')[0] ?? ''
}

/** Messages of one phase leave in parallel; every other phase is one message after the other. */
export function phaseOf(name: string): string {
  const kind = kindOf(name)
  switch (kind) {
    case 'receipt':
    case 'end-work':
    case 'vote':
    case 'commit':
      return 'vote'
    case 'apply':
      return 'apply'
    case 'facts':
    case 'session':
    case 'begin':
    case 'work':
    case 'claim':
    case 'seal':
    case 'secure':
    case 'decide':
    case 'finish':
    case 'undo':
    case 'drain':
    case 'ask':
    case 'obey':
    case 'remember':
      return name
  }
}
