/**
 * Whether a transaction whose register has no row of it has been applied somewhere all the same.
 *
 * Why: a snapshot that is put back in a register's place can't be told from the register itself
 * (`assent restored` says so, if somebody remembers to run it). But a receipt is only committed behind
 * a decision, and a decision stays while a branch of its transaction is prepared: so a receipt, beside
 * a branch that is prepared and a row that is missing, is proof that one of the databases was set back.
 *
 * Promises: asked after the register, it finds no receipt of a transaction that can still end well.
 * Never: rejects, or takes one that can't be asked for one that has nothing.
 */
import type { Gid } from '../protocol/index.ts'
import type { Participant } from '../ports/index.ts'

/** Of the participants other than the register and the branch's own: the first that has the receipt. */
export async function receiptElsewhere(
  participants: ReadonlyMap<string, Participant>,
  { txid, register, branch }: Pick<Gid, 'txid' | 'register' | 'branch'>,
): Promise<'receipt' | 'no receipt'> {
  const others = [...participants.values()].filter(({ name }) => ![register, branch].includes(name))
  const found = await Promise.all(
    others.map(async ({ memory }) => {
      try {
        return (await memory.present([txid])).has(txid)
      } catch {
        return false
      }
    }),
  )
  return found.includes(true) ? 'receipt' : 'no receipt'
}
