/**
 * The whitelist of PostgreSQL's definite answers.
 *
 * Owns: which reply is a yes and which is a no, as a table. Everything else is unknown.
 * Promises: a yes names every tag of the message in full, has no warning at the statement that
 * decides, and leaves the connection in the state that it must leave.
 * Never: takes a lost connection, a shutdown (class 57), a full disk (53100), an internal error or
 * a cut-off wait for replication (a warning) for an answer.
 *
 * Sources: PostgreSQL manual, "Error Codes" and "Extended Query"; `xact.c` (PREPARE and COMMIT of a
 * failed transaction answer ROLLBACK, without an error); `syncrep.c` (the warning).
 */
import type { Answer, EndAnswer } from '../../protocol/index.ts'
import type { ServerError } from './driver.ts'
import type { Answered, Reply } from './message.ts'

/** What a message of ours is expected to answer. */
export interface Expected {
  /** Every tag, in full, in order. */
  readonly tags: readonly string[]
  /** The transaction status afterwards. */
  readonly status: 'I' | 'T'
  /**
   * The statement (counted from 0) whose success may be durable. An error before it means that the
   * server never ran it. `none` for a message that leaves the transaction open.
   */
  readonly decides: number | 'none'
}

/** A message that leaves the transaction open. */
export function open(tags: readonly string[]): Expected {
  return { tags, status: 'T', decides: 'none' }
}
/** PREPARE, behind its receipt and what has to come before that. */
export function prepared(before: readonly string[]): Expected {
  return { tags: [...before, 'PREPARE TRANSACTION'], status: 'I', decides: before.length }
}
/** COMMIT, behind whatever has to be true first. */
export function committed(before: readonly string[]): Expected {
  return { tags: [...before, 'COMMIT'], status: 'I', decides: before.length }
}
export const COMMIT_PREPARED: Expected = { tags: ['COMMIT PREPARED'], status: 'I', decides: 0 }
export const ROLLBACK_PREPARED: Expected = { tags: ['ROLLBACK PREPARED'], status: 'I', decides: 0 }

interface DefiniteAnswer {
  readonly answer: 'yes' | 'no'
  readonly means: string
  readonly when: (reply: Answered, expected: Expected) => boolean
}

/** The whitelist. A reply that fits no row is unknown. */
export const DEFINITE_ANSWERS: readonly DefiniteAnswer[] = [
  {
    answer: 'yes',
    means: 'every statement was answered as expected, without a warning at the one that decides',
    when: (reply, expected) =>
      reply.error === undefined &&
      reply.status === expected.status &&
      sameTags(reply.tags, expected.tags) &&
      reply.warnings.every((warning) => warning.during !== expected.decides),
  },
  {
    answer: 'no',
    means: 'PREPARE or COMMIT of a failed transaction: rolled back, without an error',
    when: (reply) => reply.error === undefined && reply.tags.at(-1) === 'ROLLBACK',
  },
  {
    answer: 'no',
    means: 'the claim found no such epoch of this server: nothing was written by it',
    when: (reply, expected) =>
      expected.decides === 'none' &&
      reply.error === undefined &&
      reply.tags.at(-1) === 'INSERT 0 0',
  },
  {
    answer: 'no',
    means: 'an error before the statement that decides: the server skipped that one',
    when: (reply, expected) =>
      reply.error !== undefined &&
      (expected.decides === 'none' || reply.tags.length < expected.decides) &&
      !isMadeUp(reply.error, reply.status),
  },
  {
    answer: 'no',
    means: 'the deciding statement failed, and the server is ready outside a transaction',
    when: (reply, expected) =>
      reply.error !== undefined &&
      reply.tags.length === expected.decides &&
      reply.status === 'I' &&
      !isServerTrouble(reply.error.code),
  },
]

/**
 * Errors that tell of the server's or the connection's trouble instead of the transaction's: it may
 * have become durable before them. 08 connection (poolers make some up), 53 resources but for
 * 53200 (no slot left for PREPARE), 57 operator intervention, 58 system, XX internal, and 40003,
 * which says of itself that completion is unknown.
 */
function isServerTrouble(code: string): boolean {
  if (code === '53200') return false
  return code === '40003' || ['08', '53', '57', '58', 'F0', 'XX'].includes(code.slice(0, 2))
}

/**
 * Behind an error that skips the rest of the message a server is still in the transaction, which has
 * failed. One that tells of trouble outside of any may be a pooler's own words for a link that broke,
 * after all was done.
 */
function isMadeUp({ code }: ServerError, status: string): boolean {
  return status === 'I' && isServerTrouble(code)
}

/** Reads the reply to a claim, a vote or a COMMIT. */
export function readAnswer(reply: Reply, expected: Expected): Answer {
  if (reply.kind === 'lost') return { answer: 'unknown', cause: reply.cause }
  const definite = DEFINITE_ANSWERS.find((row) => row.when(reply, expected))
  if (definite?.answer === 'yes') return { answer: 'yes' }
  return { answer: definite?.answer ?? 'unknown', cause: reply.error ?? surprise(reply) }
}

/** Reads the reply to COMMIT PREPARED or ROLLBACK PREPARED. */
export function readEnd(reply: Reply, decision: 'commit' | 'abort'): EndAnswer {
  // 42704 is "prepared transaction with identifier … does not exist" here, and proves nothing.
  if (reply.kind === 'answered' && reply.error?.code === '42704') return { answer: 'missing' }
  const read = readAnswer(reply, decision === 'commit' ? COMMIT_PREPARED : ROLLBACK_PREPARED)
  return read.answer === 'yes' ? { answer: 'done' } : { answer: 'unknown', cause: read.cause }
}

/** Whether a reply has just these tags, in full and in order. */
export function sameTags(given: readonly string[], expected: readonly string[]): boolean {
  return given.length === expected.length && given.every((tag, index) => tag === expected[index])
}

/** Says what was answered instead of what was expected. */
export function surprise(reply: Answered): Error {
  const tags = reply.tags.join(', ') || 'nothing'
  const warnings = reply.warnings.map((warning) => `; warning: ${warning.message}`).join('')
  return new Error(`PostgreSQL answered ${tags} (status ${reply.status})${warnings}`)
}
