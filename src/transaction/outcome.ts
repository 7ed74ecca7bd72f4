/**
 * `outcome()`: what became of a transaction, asked by anybody who has its id.
 *
 * Owns: which register is asked, and how long.
 * Promises: `aborted` only when it can never commit; `unknown` comes with a reason.
 */
import {
  AssentError,
  assertNever,
  conclude,
  formatTransactionId,
  isUnwritten,
  parseTransactionId,
} from '../protocol/index.ts'
import type { TransactionId } from '../protocol/index.ts'
import type { Participant, World } from '../ports/index.ts'
import { LIMITS, backoffMs, unlessAborted } from '../engine/index.ts'
import type { Elsewhere } from '../engine/index.ts'
import { between, quote } from './options.ts'

/** What became of a transaction. */
export type OutcomeAnswer =
  | { readonly outcome: 'committed' }
  | { readonly outcome: 'aborted' }
  | { readonly outcome: 'unknown'; readonly reason: UnknownReason }

/** Why `outcome()` can’t say what became of a transaction. */
export type UnknownReason =
  /** It is still open at its register. */
  | 'running'
  /** The register could not be asked. */
  | 'unreachable'
  /** A branch of it is prepared, and its register does not remember its epoch: left for a person. */
  | 'held'
  /**
   * Its register has no row of it and remembers its epoch, which means aborted; and another participant
   * has applied it. One of the two was set back.
   */
  | 'contradicted'
  /** It is over for longer than the retention, or its register was set back: nobody remembers. */
  | 'forgotten'
  /** The id names no register, and no participant has a decision under it. */
  | 'not-found'
  | 'register-not-configured'

/** How long `outcome()` may wait for an answer that can still change. */
export interface OutcomeOptions {
  /** How long to wait for a transaction that is still running, or a register that does not answer. */
  readonly waitMs?: number
  /** Ends the waiting: the answer is then the last one. */
  readonly signal?: AbortSignal
}

const BACKOFF = { firstMs: 50, longestMs: 1_000 }

export async function outcomeOf(
  id: string,
  options: OutcomeOptions,
  app: string,
  participants: ReadonlyMap<string, Participant>,
  elsewhere: Elsewhere,
  world: World,
): Promise<OutcomeAnswer> {
  const waitMs = options.waitMs ?? 0
  between('waitMs', waitMs, 0, LIMITS.longestTimeoutMs)
  const until = world.now() + waitMs
  const bound = new AbortController()
  const over = AbortSignal.any([bound.signal, ...(options.signal ? [options.signal] : [])])
  const end = (): void => {
    bound.abort()
  }
  const cancel = world.timer(Math.max(waitMs, LIMITS.outcomeMs), end, 'awaited')
  try {
    let last: OutcomeAnswer = { outcome: 'unknown', reason: 'unreachable' }
    for (let attempt = 1; ; attempt += 1) {
      const answer = await unlessOver(over, askOnce(id, app, participants, elsewhere), last)
      last = answer
      const mayChange =
        answer.outcome === 'unknown' && ['running', 'unreachable'].includes(answer.reason)
      const leftMs = until - world.now()
      if (!mayChange || leftMs <= 0 || over.aborted) return answer
      await world.sleep(Math.min(leftMs, backoffMs(BACKOFF, attempt, world)), over)
    }
  } finally {
    cancel()
  }
}

/** A register that does not answer within the time can't be asked, for all that we know. */
async function unlessOver(
  over: AbortSignal,
  asking: Promise<OutcomeAnswer>,
  last: OutcomeAnswer,
): Promise<OutcomeAnswer> {
  try {
    return await unlessAborted(over, asking)
  } catch (error) {
    if (!over.aborted || error instanceof AssentError) throw error
    return last
  }
}

async function askOnce(
  id: string,
  app: string,
  participants: ReadonlyMap<string, Participant>,
  elsewhere: Elsewhere,
): Promise<OutcomeAnswer> {
  const given: unknown = id
  const reading = parseTransactionId(typeof given === 'string' ? given : '')
  switch (reading.kind) {
    case 'bare':
      return lookUpEverywhere(reading.txid, participants)
    case 'registered':
      return askRegister(reading.id, app, participants, elsewhere)
    case 'unreadable':
      throw new AssentError({
        code: 'ASSENT_ID',
        outcome: 'unknown',
        message:
          `${quote(given).slice(0, 80)} is no transaction id. Expected error.transactionId ` +
          `(A1.<app>.<register>.<epoch>.<txid>) or tx.id (20 characters).`,
      })
    default:
      return assertNever(reading)
  }
}

/** Never inserts: without its register, a row that is missing says nothing. */
async function lookUpEverywhere(
  txid: string,
  participants: ReadonlyMap<string, Participant>,
): Promise<OutcomeAnswer> {
  const found = await Promise.all([...participants.values()].map((each) => each.lookUp(txid)))
  if (found.includes('committed')) return { outcome: 'committed' }
  return { outcome: 'unknown', reason: found.includes('unclear') ? 'unreachable' : 'not-found' }
}

async function askRegister(
  id: TransactionId,
  app: string,
  participants: ReadonlyMap<string, Participant>,
  elsewhere: Elsewhere,
): Promise<OutcomeAnswer> {
  const register = participants.get(id.register)
  if (register === undefined || id.app !== app) {
    return { outcome: 'unknown', reason: 'register-not-configured' }
  }
  const answer = await register.ask(id)
  const conclusion = conclude(answer)
  switch (conclusion) {
    case 'commit':
      return { outcome: 'committed' }
    case 'abort': {
      const isApplied = isUnwritten(answer) && (await elsewhere.look(id, id.register)) === 'receipt'
      return isApplied ? { outcome: 'unknown', reason: 'contradicted' } : { outcome: 'aborted' }
    }
    case 'running':
      return { outcome: 'unknown', reason: 'running' }
    case 'held':
      return { outcome: 'unknown', reason: await whyHeld(id, participants) }
    case 'unclear':
      return { outcome: 'unknown', reason: 'unreachable' }
    default:
      return assertNever(conclusion)
  }
}

/** Nothing is left of most that are forgotten; a branch that is still prepared waits for a person. */
async function whyHeld(
  id: TransactionId,
  participants: ReadonlyMap<string, Participant>,
): Promise<'held' | 'forgotten' | 'unreachable'> {
  const prefix = `${formatTransactionId(id)}.`
  const listings = await Promise.allSettled(
    [...participants.values()].map((each) => each.listPrepared()),
  )
  const isListed = listings.some(
    (listing) =>
      listing.status === 'fulfilled' &&
      listing.value.branches.some(({ gid }) => gid.startsWith(prefix)),
  )
  if (isListed) return 'held'
  return listings.every(({ status }) => status === 'fulfilled') ? 'forgotten' : 'unreachable'
}
