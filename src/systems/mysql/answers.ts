/**
 * The whitelist of definite answers of MySQL and MariaDB.
 *
 * Owns: which reply is a yes and which is a no, as a table. Everything else is unknown.
 * Promises: a yes is an OK without a warning, and for a mark exactly one row.
 * Never: takes a lost connection, a shutdown, a kill, an I/O error, or an id that is not known (1397)
 * for an answer.
 *
 * Sources: MySQL manual, "XA Transaction States" and "Server Error Message Reference"; MariaDB
 * Knowledge Base, "XA Transactions"; and what MariaDB 10.11 and 11.4 answered (`test/mysql`).
 */
import type { Answer } from '../../protocol/index.ts'
import { isTrouble, wordsOf } from './driver.ts'
import type { Answered, Reply, ServerError } from './driver.ts'

/** What a statement of the commit path does. */
export type Message =
  /** Claim or receipt: one row, or none where its conditions don't hold. */
  | 'mark'
  /** XA END: nothing becomes durable by it. */
  | 'end'
  /** Both in one message: the changed rows are the mark's. */
  | 'mark and end'
  /** XA PREPARE, XA COMMIT … ONE PHASE, or a reader's COMMIT: may be durable once it was sent. */
  | 'decides'

interface DefiniteAnswer {
  readonly answer: 'yes' | 'no'
  readonly means: string
  readonly when: (reply: Reply, message: Message) => boolean
}

/**
 * The branch was rolled back: by anybody (1402), for a lock that did not come (1613), in a deadlock
 * (1614). Behind XA PREPARE or XA COMMIT even these are no definite no: with a binary log a branch may
 * have been prepared durably before it was rolled back, and comes back if the server dies before that
 * is durable. Its register is asked, which sees to it (`Register`).
 */
const ROLLED_BACK = [1402, 1613, 1614]

/** Its decision was NULL: see `marks.ts`. */
export function mayNotBeWritten(reply: Reply): boolean {
  return reply.kind === 'refused' && reply.error.errno === 1048
}

/** The whitelist. A reply that fits no row is unknown. */
export const DEFINITE_ANSWERS: readonly DefiniteAnswer[] = [
  {
    answer: 'yes',
    means: 'the mark is in the transaction: one row',
    when: (reply, message) =>
      message === 'mark' && reply.kind === 'answered' && reply.affected === 1,
  },
  {
    answer: 'yes',
    means: 'the mark is in the transaction: one row, and behind it its work is complete',
    when: (reply, message) =>
      message === 'mark and end' &&
      reply.kind === 'answered' &&
      reply.affected === 1 &&
      reply.warnings === 0,
  },
  {
    answer: 'yes',
    means: 'done, without a warning',
    when: (reply, message) =>
      (message === 'end' || message === 'decides') &&
      reply.kind === 'answered' &&
      reply.warnings === 0 &&
      // Whoever answers with rows has been asked something else.
      reply.rows.length === 0,
  },
  {
    answer: 'no',
    means: 'no such epoch of this server, or the server is not durable, or no transaction is open',
    when: (reply, message) => message.startsWith('mark') && mayNotBeWritten(reply),
  },
  {
    answer: 'no',
    means: 'an error before anything that could be durable: that was never sent',
    when: (reply, message) =>
      message !== 'decides' && reply.kind === 'refused' && !isTrouble(reply.error),
  },
]

export function readAnswer(reply: Reply, message: Message): Answer {
  const definite = DEFINITE_ANSWERS.find((row) => row.when(reply, message))
  if (definite?.answer === 'yes') return { answer: 'yes' }
  return { answer: definite?.answer ?? 'unknown', cause: causeOf(reply) }
}

/** Whether the server says that it knows no such prepared branch; which it also says while it is owned. */
export function isUnknownId(reply: Reply): boolean {
  return reply.kind === 'refused' && reply.error.errno === 1397
}

/** Whether the branch is known to be rolled back. */
export function isRolledBack(reply: Reply): boolean {
  return reply.kind === 'refused' && ROLLED_BACK.includes(reply.error.errno)
}

/**
 * Errors of XA itself: the transaction is not the one that was begun, or is not there, or was rolled back.
 * In a message with a mark before it, XA END may have answered so, behind a mark that was written. (The
 * INSERT answers 1399 too, where the transaction was rolled back.)
 */
const OF_XA = [1397, 1398, 1399, 1400, 1401, ...ROLLED_BACK]

export function mayBeOfEnd(reply: Reply): boolean {
  return reply.kind === 'refused' && OF_XA.includes(reply.error.errno)
}

/**
 * XA END is refused since its transaction is not open: none is, or another. 1399 says so too, and also that the
 * server has rolled it back, which the name of the state tells, in every language.
 */
export function isOfAnother(reply: Reply): boolean {
  if (reply.kind !== 'refused') return false
  const { errno, message } = reply.error
  if (errno === 1399) return !message.includes('ROLLBACK ONLY')
  return [1397, 1398, 1400, 1401].includes(errno)
}

export function causeOf(reply: Reply): unknown {
  switch (reply.kind) {
    case 'lost':
      return reply.cause
    case 'refused':
      return withoutStatement(reply.error)
    case 'answered':
      return surprise(reply)
  }
}

/**
 * Both drivers put the statement into an error, `mariadb` into its message and mysql2 beside it; and with it ids
 * that are as good as a key.
 */
function withoutStatement({ errno, sqlState, sqlMessage, message }: ServerError): Error {
  return Object.assign(new Error(sqlMessage ?? message), { errno, sqlState, sqlMessage })
}

/** Says what was answered instead of what was expected. */
export function surprise({ affected, warnings, rows }: Answered): Error {
  return new Error(
    `the server answered with ${affected} changed rows, ${rows.length} rows and ${warnings} warnings`,
  )
}

/** Errors after which all of a branch's work is undone, though its connection goes on. */
export function undoesAll(error: ServerError): boolean {
  const { errno } = error
  // 1399 is also the answer to a statement that XA does not allow, which changes nothing.
  if (errno === 1399) return /ROLLBACK ONLY/i.test(wordsOf(error))
  // 1020: a row has changed since the snapshot (innodb_snapshot_isolation).
  return errno === 1213 || errno === 1020 || ROLLED_BACK.includes(errno)
}
