/**
 * Taking the key of a mark: what *Ask* begins with, and a decision that is written by hand.
 *
 * Promises: `taken` only while our own uncommitted row has the key, so that nobody can commit under it;
 * after any other answer but `held` the transaction is rolled back.
 * Never: takes a lock time-out for anything but "somebody has this key".
 */
import type { AskAnswer } from '../../protocol/index.ts'
import type { Question } from '../../ports/index.ts'
import { causeOf, surprise } from './answers.ts'
import type { Reply } from './driver.ts'
import type { Failover } from './register.ts'
import { quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { isOff } from './server-facts.ts'
import type { ServiceConnection } from './service-connections.ts'

/** InnoDB's lock time-out. */
const LOCK_TIMEOUT = 1205

export type Key =
  | { readonly key: 'taken' }
  /** A row has it: not yet durably read. */
  | { readonly key: 'held'; readonly decision: string }
  | { readonly key: 'not had'; readonly answer: AskAnswer }

/** Begins a transaction, and inserts the row or reads the one that is there. Never rejects. */
export async function takeKey(
  connection: ServiceConnection,
  names: SchemaNames,
  { txid, app, register, epoch }: Question,
  decision: 'abort' | 'heuristic-commit' | 'heuristic-abort',
): Promise<Key> {
  const begun = await connection.begin()
  if (begun.kind !== 'answered') return { key: 'not had', answer: unknown(begun) }
  const values = [txid, decision, app, register, epoch, '[]'].map(quote).join(', ')
  const insert = await connection.send(
    `INSERT INTO ${names.mark} (txid, decision, app, register, epoch, participants)
VALUES (${values}) ON DUPLICATE KEY UPDATE asked = asked + 1`,
  )
  if (insert.kind !== 'answered') {
    await connection.rollBack()
    // A deadlock (1213) with others who ask proves nothing: it is asked again.
    const waits = insert.kind === 'refused' && insert.error.errno === LOCK_TIMEOUT
    return { key: 'not had', answer: waits ? { answer: 'waits' } : unknown(insert) }
  }
  const read = await connection.send(
    `SELECT decision, asked FROM ${names.mark} WHERE txid = ${quote(txid)} FOR UPDATE`,
  )
  const [found, asked] = (read.kind === 'answered' ? read.rows[0] : undefined) ?? []
  if (found == null || asked == null) {
    await connection.rollBack()
    return { key: 'not had', answer: unknown(read) }
  }
  return asked === '0' ? { key: 'taken' } : { key: 'held', decision: found }
}

/** What a register says of an epoch while our own row has the key. */
export type Listed =
  { readonly kind: 'listed' | 'unlisted' } | { readonly kind: 'not said'; readonly cause: unknown }

/**
 * Whether the epoch is remembered: under READ COMMITTED as of now, after the insert. Of a server that is
 * read_only nobody can say it, though whoever has the privilege may have written the row there: a replica may
 * have the decision in its relay log still.
 */
export async function isListed(
  connection: ServiceConnection,
  names: SchemaNames,
  epoch: string,
  failover: Failover,
  present: string,
): Promise<Listed> {
  const isPresent = failover === 'lossless' ? '' : ` AND server = ${present}`
  const reply = await connection.send(
    `SELECT EXISTS (SELECT 1 FROM ${names.epoch} WHERE id = ${quote(epoch)}${isPresent}), @@global.read_only`,
  )
  if (reply.kind !== 'answered') return { kind: 'not said', cause: causeOf(reply) }
  const [found, readOnly] = reply.rows[0] ?? []
  if (!isOff(readOnly)) return { kind: 'not said', cause: new Error('its server is read_only') }
  return { kind: found === '1' ? 'listed' : 'unlisted' }
}

export function unknown(reply: Reply): AskAnswer {
  const cause = reply.kind === 'answered' ? surprise(reply) : causeOf(reply)
  return { answer: 'unknown', cause }
}
