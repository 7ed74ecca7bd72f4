/**
 * What is prepared, where, and what each branch waits for: as one look finds it, for a person.
 *
 * Owns: one listing of every participant, and asking the registers that it names.
 * Promises: a participant that can't be reached never hides what the others say; a register is asked
 * once for each transaction, and not again once it was silent.
 * Never: ends a branch, or repeats itself: it looks once.
 */
import {
  assertNever,
  conclude,
  formatGid,
  formatTransactionId,
  isUnwritten,
} from '../protocol/index.ts'
import type { Conclusion, Gid } from '../protocol/index.ts'
import type { Participant, PreparedBranch } from '../ports/index.ts'
import type { Elsewhere } from './elsewhere.ts'
import { inParallel } from './in-parallel.ts'
import { judge } from './judge.ts'
import { LIMITS } from './limits.ts'
import { inDoubtOf, isDecidersOwn } from './recover.ts'
import type { InDoubt, InDoubtReason } from './reports.ts'

/** Why a branch is prepared; beside what recovery says, what it would do next. */
export type StandingReason =
  | Exclude<InDoubtReason, 'branch-unclear' | 'not-asked-yet'>
  /** Its register has decided, and recovery is about to apply it. */
  | 'decided-commit'
  | 'decided-abort'
  /** The decider's own, left by a crash inside its commit: recovery commits it. */
  | 'decider-prepared'

export interface Standing extends Omit<InDoubt, 'reason'> {
  readonly reason: StandingReason
  /** For a person: `role app`, `connection 12`. */
  readonly owner: string
}

export interface Unreachable {
  readonly participant: string
  readonly error: unknown
}

export interface Listing {
  /** The oldest first. */
  readonly standing: readonly Standing[]
  readonly unreachable: readonly Unreachable[]
}

export type Participants = ReadonlyMap<string, Participant>

/** What each participant answers; or its error, beside the others. */
export async function fromEach<T>(
  participants: Participants,
  question: (participant: Participant) => Promise<T>,
): Promise<{ readonly answers: ReadonlyMap<string, T>; readonly unreachable: Unreachable[] }> {
  const asked = [...participants].map(async ([name, participant]) => {
    try {
      return { name, answer: await question(participant) }
    } catch (error) {
      return { name, error }
    }
  })
  const answers = new Map<string, T>()
  const unreachable: Unreachable[] = []
  for (const each of await Promise.all(asked)) {
    if ('answer' in each) answers.set(each.name, each.answer)
    else unreachable.push({ participant: each.name, error: each.error })
  }
  return { answers, unreachable }
}

/** What one look needs. */
export interface Look {
  readonly app: string
  readonly participants: Participants
  readonly elsewhere: Elsewhere
}

/** `isWanted`: which of ours. Default: all. */
export async function listStanding(
  { app, participants, elsewhere }: Look,
  isWanted: (gid: Gid) => boolean = () => true,
): Promise<Listing> {
  const { answers, unreachable } = await fromEach(participants, (each) => each.listPrepared())
  const standing: Standing[] = []
  const ours: { readonly gid: Gid; readonly at: Participant; readonly branch: PreparedBranch }[] =
    []
  for (const [name, { branches }] of answers) {
    const at = participants.get(name)
    if (at === undefined) continue
    for (const branch of branches) {
      const judged = judge(app, name, branch, (each) => participants.has(each))
      if (judged?.kind === 'ours' && isWanted(judged.gid))
        ours.push({ gid: judged.gid, at, branch })
      if (judged?.kind !== 'alone') continue
      // Judged alone for whose it is, never for how a round of recovery went.
      const reason = judged.doubt.reason as StandingReason
      standing.push({ ...judged.doubt, reason, owner: branch.owner })
    }
  }
  const asking = new Asking(participants, elsewhere)
  await inParallel(LIMITS.recoveriesAtOnce, ours, async ({ gid, at, branch }) => {
    const reason = isDecidersOwn(at, gid) ? 'decider-prepared' : await asking.ask(gid)
    const doubt = inDoubtOf(at.name, gid, branch.ageMs, 'not-asked-yet')
    standing.push({ ...doubt, reason, owner: branch.owner })
  })
  asking.distrust(standing)
  standing.sort((a, b) => b.ageMs - a.ageMs || (a.gid < b.gid ? -1 : 1))
  return { standing, unreachable }
}

/** Questions to registers: the branches of one transaction share one. */
class Asking {
  readonly #participants: Participants
  readonly #elsewhere: Elsewhere
  readonly #asked = new Map<string, Promise<StandingReason>>()
  readonly #silent = new Set<string>()
  /** Transactions that their registers have no row of, and may so be aborted. */
  readonly #unwritten = new Set<string>()

  constructor(participants: Participants, elsewhere: Elsewhere) {
    this.#participants = participants
    this.#elsewhere = elsewhere
  }

  ask(gid: Gid): Promise<StandingReason> {
    const key = formatGid({ ...gid, branch: '' })
    const asked = this.#asked.get(key) ?? this.#ask(gid)
    this.#asked.set(key, asked)
    return asked
  }

  async #ask(gid: Gid): Promise<StandingReason> {
    const register = this.#participants.get(gid.register)
    if (register === undefined || this.#silent.has(gid.register)) return 'register-unclear'
    const answer = await register.ask(gid)
    const conclusion = conclude(answer)
    if (conclusion === 'unclear') this.#silent.add(gid.register)
    // As recovery does: see `elsewhere.ts`.
    if (!isUnwritten(answer)) return reasonOf(conclusion)
    this.#unwritten.add(formatTransactionId(gid))
    const found = await this.#elsewhere.look(gid, gid.branch)
    return found === 'receipt' ? 'contradicted' : 'decided-abort'
  }

  /** As recovery does: where one decision of an epoch is lost, others may be. Changes `standing`. */
  distrust(standing: Standing[]): void {
    const contradicted = standing.filter(({ reason }) => reason === 'contradicted')
    const epochs = new Set(contradicted.map(({ transactionId }) => epochOf(transactionId)))
    for (const [at, { transactionId = '', ...rest }] of standing.entries()) {
      if (!this.#unwritten.has(transactionId) || !epochs.has(epochOf(transactionId))) continue
      standing[at] = { ...rest, transactionId, reason: 'contradicted' }
    }
  }
}

/** Whether what its register has no row of may be committed all the same, since others of its epoch are. */
export async function isContradicted(look: Look, transactionId: string): Promise<boolean> {
  const ofItsEpoch = (gid: Gid): boolean =>
    epochOf(formatTransactionId(gid)) === epochOf(transactionId)
  const { standing } = await listStanding(look, ofItsEpoch)
  return standing.some(
    (each) => each.transactionId === transactionId && each.reason === 'contradicted',
  )
}

/** Its register and epoch: all of an id but its end. */
function epochOf(transactionId = ''): string {
  return transactionId.slice(0, transactionId.lastIndexOf('.'))
}

/** What recovery does, or waits for, by what the register says. */
export function reasonOf(conclusion: Conclusion | 'contradicted'): StandingReason {
  switch (conclusion) {
    case 'commit':
      return 'decided-commit'
    case 'abort':
      return 'decided-abort'
    case 'running':
    case 'held':
    case 'contradicted':
      return conclusion
    case 'unclear':
      return 'register-unclear'
    default:
      return assertNever(conclusion)
  }
}
