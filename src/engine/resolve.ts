/**
 * Deciding a transaction by hand.
 *
 * Owns: gathering what must be known, and performing the plan in its order.
 * Promises: the register is written before a branch is ended, wherever it answers; each end is recorded
 * in the branch's own database before it happens, and not done if that fails.
 * Never: ends a branch on anything but `planResolution`'s word. The interleavings are listed there.
 */
import { NO_EPOCH, formatTransactionId, isUnwritten, planResolution } from '../protocol/index.ts'
import type {
  AskAnswer,
  EndAnswer,
  Refusal,
  ResolutionFacts,
  TransactionId,
  Wish,
} from '../protocol/index.ts'
import type { Resolution } from '../ports/index.ts'
import type { Operator } from './operate.ts'
import { isDecidersOwn } from './recover.ts'
import { findPrepared, readGivenId } from './show.ts'
import type { Found } from './show.ts'
import { fromEach, isContradicted } from './standing.ts'

/** What would be done, before anybody is asked. */
export interface Offer {
  readonly id: TransactionId
  readonly wish: Wish
  readonly facts: ResolutionFacts
  readonly branches: readonly Found[]
  readonly plan: 'decide-there' | 'without-register'
}

export interface Refused {
  readonly transactionId: string
  readonly why: Refusal | 'not-found'
  readonly facts: ResolutionFacts
}

export type Offered =
  | { readonly kind: 'offer'; readonly offer: Offer }
  | { readonly kind: 'refused'; readonly refused: Refused }

export interface Signature {
  readonly decidedBy: string
  readonly reason: string
}

export type BranchEnd =
  | EndAnswer
  /** Its record could not be written, so it was not touched. */
  | { readonly answer: 'not-recorded'; readonly cause: unknown }

export type Resolved =
  | {
      readonly kind: 'resolved'
      readonly ends: readonly { readonly gid: string; readonly end: BranchEnd }[]
    }
  /** Somebody was faster, or nobody knows: nothing was ended. */
  | { readonly kind: 'refused'; readonly refused: Refused }

/** @throws AssentError `ASSENT_ID` */
export async function offerResolution(
  operator: Operator,
  text: string,
  wish: Wish,
  registerIs: ResolutionFacts['registerIs'],
): Promise<Offered> {
  const { app, participants } = operator
  const given = readGivenId(app, text)
  const txid = given.kind === 'bare' ? given.txid : given.id.txid
  const { branches, unreachable } = await findPrepared(app, participants, txid)
  const [first] = branches.toSorted(
    (a, b) => Number(a.gid.epoch === NO_EPOCH) - Number(b.gid.epoch === NO_EPOCH),
  )
  const id = given.kind === 'registered' ? given.id : first?.gid
  const marks = await fromEach(participants, (each) => each.byHand.mark(txid))
  const elsewhere = (name: string): boolean => name !== id?.register
  const missing = [...unreachable, ...marks.unreachable].map(({ participant }) => participant)
  const answer = id === undefined ? undefined : await participants.get(id.register)?.ask(id)
  const isDistrusted =
    id !== undefined &&
    answer !== undefined &&
    isUnwritten(answer) &&
    (await isContradicted(operator, formatTransactionId(id)))
  const facts: ResolutionFacts = {
    wish,
    register: answer ?? { answer: 'not-configured' },
    registerIs,
    receipts: [...marks.answers]
      .filter(([name, mark]) => elsewhere(name) && mark !== undefined)
      .map(([name]) => name),
    memory: isDistrusted ? 'contradicted' : 'as it says',
    unread: [...new Set(missing)].filter(elsewhere),
    prepared: branches.map(({ at }) => at),
    ends: branches.every(({ branch }) => branch.mayEnd) ? 'allowed' : 'of another owner',
    decider: branches.some(({ at, gid }) => {
      const participant = participants.get(at)
      return participant !== undefined && isDecidersOwn(participant, gid)
    })
      ? 'prepared'
      : 'not prepared',
  }
  if (id === undefined) {
    return { kind: 'refused', refused: { transactionId: txid, why: 'not-found', facts } }
  }
  const plan = planResolution(facts)
  if (plan.plan === 'refuse') {
    const transactionId = formatTransactionId(id)
    return { kind: 'refused', refused: { transactionId, why: plan.why, facts } }
  }
  return { kind: 'offer', offer: { id, wish, facts, branches, plan: plan.plan } }
}

/** Does what was offered. Never rejects. */
export async function resolveAsOffered(
  { participants }: Operator,
  offer: Offer,
  signature: Signature,
): Promise<Resolved> {
  const { id, wish, plan, branches } = offer
  const { app, register, epoch, txid } = id
  const basis = plan === 'decide-there' ? 'register' : 'register-lost'
  const resolution = { app, register, epoch, txid, decision: wish, basis, ...signature } as const
  if (plan === 'decide-there') {
    const answer = await participants
      .get(register)
      ?.byHand.decide({ ...resolution, branch: register })
    // Safe: the decision is durable, under the one key that everybody asks for.
    if (answer?.answer !== 'written') return { kind: 'refused', refused: anew(offer, answer) }
  }
  const ends = await Promise.all(
    branches.map(async (found) => ({
      gid: found.branch.gid,
      end: await endByHand(participants.get(found.at), found, {
        ...resolution,
        branch: found.gid.branch,
      }),
    })),
  )
  return { kind: 'resolved', ends }
}

async function endByHand(
  participant: ReturnType<Operator['participants']['get']>,
  { gid }: Found,
  resolution: Resolution,
): Promise<BranchEnd> {
  if (participant === undefined) return { answer: 'missing' }
  try {
    await participant.byHand.record(resolution)
  } catch (cause) {
    return { answer: 'not-recorded', cause }
  }
  return participant.endPrepared(gid, resolution.decision)
}

/** What the register said when it was to be written. */
function anew({ id, facts }: Offer, answer: AskAnswer | undefined): Refused {
  const transactionId = formatTransactionId(id)
  const register = answer ?? ({ answer: 'not-configured' } as const)
  const plan = planResolution({ ...facts, register, registerIs: 'expected' })
  return {
    transactionId,
    why: plan.plan === 'refuse' ? plan.why : 'register-silent',
    facts: { ...facts, register },
  }
}
