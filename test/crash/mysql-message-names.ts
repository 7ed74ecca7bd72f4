/**
 * Owns: the names of the messages of MySQL and MariaDB: of a transaction's branch, and, where somebody
 * recovers, of the questions and ends.
 * Promises: as message-names.ts does.
 * Never: names what recovery says while the process runs a transaction, or what gives a
 * connection back: nobody waits for that, so it has no certain place.
 */
import type { FrontendMessage } from '../../harness/wire.ts'
import type { Kind } from './message-names.ts'

export class MysqlMessageNames {
  readonly #counts = new Map<string, number>()
  /** Connections that a branch has been on; the others are recovery's own. */
  readonly #branches = new Set<number>()
  readonly #task: 'transfer' | 'recover'

  constructor(task: 'transfer' | 'recover') {
    this.#task = task
  }

  name(participant: string, { statements }: FrontendMessage, ordinal: number): string | undefined {
    const text = statements[0]?.sql ?? ''
    if (LENT.test(text)) this.#branches.add(ordinal)
    const kind = this.#branches.has(ordinal) ? kindOnBranch(text) : this.#kindOfService(text)
    if (kind === undefined) return undefined
    const stem = `${participant} ${kind}`
    const count = (this.#counts.get(stem) ?? 0) + 1
    this.#counts.set(stem, count)
    return `${stem} ${count}`
  }

  #kindOfService(text: string): Kind | undefined {
    if (this.#task === 'transfer') return undefined
    if (/^XA COMMIT /.test(text)) return 'apply'
    if (/^XA ROLLBACK /.test(text)) return 'undo'
    if (/\sON DUPLICATE KEY UPDATE asked/.test(text)) return 'ask'
    return /^SELECT EXISTS \(SELECT 1 FROM `assent`\.epoch WHERE id = /.test(text)
      ? 'remember'
      : undefined
  }
}

/**
 * The first that is said on a connection when it is lent to a branch: the idle time-out, in a message of its
 * own or joined with XA START. 0 when it is given back.
 */
const LENT = /^(BEGIN NOT ATOMIC )?SET SESSION idle_transaction_timeout = [1-9]/
const GIVEN_BACK = 'SET SESSION idle_transaction_timeout = 0'
/** Of statements that are joined in one message, the one that names it. */
const JOINED = /^BEGIN NOT ATOMIC (?:SET SESSION [^;]*; |SET TRANSACTION [^;]*; )*(.*); END$/s

function kindOnBranch(message: string): Kind | undefined {
  const text = JOINED.exec(message)?.[1] ?? message
  if (text === GIVEN_BACK) return undefined
  if (LENT.test(text)) return 'session'
  if (/^XA START /.test(text)) return 'begin'
  // A claim looks its epoch up, a receipt has none to look up here.
  if (/^INSERT INTO `assent`\.mark/.test(text)) {
    return /\sFROM `assent`\.epoch\s/.test(text) ? 'claim' : 'receipt'
  }
  const isDecider = isOfDecider(text)
  if (/^XA END /.test(text)) return isDecider ? 'seal' : 'end-work'
  if (/^XA PREPARE /.test(text)) return isDecider ? 'decide' : 'vote'
  if (/^XA COMMIT .* ONE PHASE$/.test(text)) return 'decide'
  if (/^XA COMMIT /.test(text)) return isDecider ? 'finish' : 'apply'
  if (/^XA ROLLBACK /.test(text)) return 'undo'
  return 'work'
}

/** The register that the id names is the branch itself. */
function isOfDecider(text: string): boolean {
  const [, register, branch] = /'A1\.[^.]+\.([^.]+)\.[^']+','([^.']+)/.exec(text) ?? []
  return register !== undefined && register === branch
}
