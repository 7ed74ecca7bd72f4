/**
 * Transactions of Assent's own, of which only an acknowledged COMMIT counts.
 *
 * Promises: resolves only if the COMMIT was answered without a warning, so that what was written in
 * it, and everything that was seen in it, is durable. (A commit that others see before it is
 * durable comes before ours in the log.) Otherwise it rejects, and may or may not have happened.
 */
import { surprise } from './answers.ts'
import type { Answered } from './message.ts'
import type { Statement } from './wire.ts'
import type { ServiceConnection } from './service-connections.ts'

const BEGIN = { text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' }

/** The reply's first tag and rows are those of BEGIN. */
export async function acknowledged(
  connection: ServiceConnection,
  statements: readonly Statement[],
): Promise<Answered> {
  const reply = await connection.send([BEGIN, ...statements, { text: 'COMMIT' }])
  if (reply.kind === 'lost') throw new Error('the answer was lost', { cause: reply.cause })
  if (reply.error !== undefined) {
    if (reply.status !== 'I') await connection.send([{ text: 'ROLLBACK' }])
    throw reply.error
  }
  const isDurable = reply.tags.at(-1) === 'COMMIT' && reply.warnings.length === 0
  if (!isDurable) throw surprise(reply)
  return reply
}
