/**
 * One transaction, branch by branch, as its databases have it now.
 *
 * Owns: finding it by any of its ids, and what each branch's state is.
 * Promises: what is said of a mark was read durably; a participant that can't be reached is said to be
 * so, and hides nothing of the others.
 * Never: ends anything.
 */
import {
  AssentError,
  NO_EPOCH,
  conclude,
  formatTransactionId,
  isUnwritten,
  parseTransactionId,
  readGid,
} from '../protocol/index.ts'
import type { AskAnswer, Conclusion, Gid, TransactionId } from '../protocol/index.ts'
import type { PreparedBranch, Resolution, StandingMark } from '../ports/index.ts'
import { judge } from './judge.ts'
import { isDecidersOwn } from './recover.ts'
import { fromEach, isContradicted, reasonOf } from './standing.ts'
import type { Look, Participants, StandingReason, Unreachable } from './standing.ts'

export interface ShownBranch {
  readonly participant: string
  readonly role: 'decider' | 'voter'
  readonly state:
    | 'prepared'
    /** Its mark is there: in a voter the receipt, in the decider the decision. */
    | 'applied'
    /** Neither prepared nor marked: rolled back, never written, or not there yet. */
    | 'nothing'
    | 'unreachable'
    | 'not-configured'
  readonly gid: string | undefined
  readonly ageMs: number | undefined
  readonly owner: string | undefined
  readonly mark: StandingMark | undefined
  readonly waitsFor: StandingReason | undefined
}

export interface Shown {
  readonly txid: string
  /** Undefined where nothing names its register. */
  readonly transactionId: string | undefined
  readonly register: string | undefined
  /**
   * What its register answers. `contradicted`: that it can never commit; and it has lost decisions, this one
   * or others of its epoch, that another participant has applied.
   */
  readonly decision: Conclusion | 'contradicted' | 'not-configured' | 'nobody-asked'
  readonly branches: readonly ShownBranch[]
  readonly resolutions: readonly Resolution[]
  readonly unreachable: readonly Unreachable[]
}

/** What an operator gave: a transaction id, a gid, or a bare txid. */
export type Given =
  | { readonly kind: 'registered'; readonly id: TransactionId }
  | { readonly kind: 'bare'; readonly txid: string }

/** @throws AssentError `ASSENT_ID` when it can't be read, or is of another app */
export function readGivenId(app: string, text: string): Given {
  const gid = readGid(text, app)
  if (gid.kind === 'ours') return givenOf(gid.gid)
  const reading = parseTransactionId(text)
  const otherApp =
    gid.kind === 'other-app'
      ? gid.app
      : reading.kind === 'registered' && reading.id.app !== app
        ? reading.id.app
        : undefined
  if (otherApp !== undefined) {
    throw idError(
      text,
      `is of app ${otherApp}, and this is app ${app}. Use that app's configuration`,
    )
  }
  if (reading.kind === 'registered') return givenOf(reading.id)
  if (reading.kind === 'bare') return { kind: 'bare', txid: reading.txid }
  throw idError(
    text,
    'is no transaction id. Expected A1.<app>.<register>.<epoch>.<txid>, the same with .<branch>, ' +
      'or the 20 characters of tx.id',
  )
}

/** The id of a decider's own branch names no epoch to ask for. */
function givenOf(id: TransactionId): Given {
  return id.epoch === NO_EPOCH ? { kind: 'bare', txid: id.txid } : { kind: 'registered', id }
}

function idError(text: string, what: string): AssentError {
  const shown = text.length <= 80 ? JSON.stringify(text) : `A text of ${text.length} characters`
  return new AssentError({ code: 'ASSENT_ID', outcome: 'unknown', message: `${shown} ${what}.` })
}

/** Undefined when no participant has anything of it. @throws AssentError `ASSENT_ID` */
export async function showTransaction(look: Look, text: string): Promise<Shown | undefined> {
  const { app, participants } = look
  const traces = await tracesOf(app, participants, readGivenId(app, text))
  const { id, txid, branches, marks, resolutions, unreachable } = traces
  const isNothing = branches.length + marks.size + resolutions.length === 0
  if (id === undefined && isNothing && unreachable.length === 0) return undefined
  const answer = id === undefined ? undefined : await participants.get(id.register)?.ask(id)
  const named = new Set([
    ...(id === undefined ? [] : [id.register]),
    ...[...marks].flatMap(([name, mark]) => [name, ...mark.participants]),
    ...branches.map(({ at }) => at),
    ...resolutions.map(({ branch }) => branch),
    ...unreachable.map(({ participant }) => participant),
  ])
  // The register first, then as they are configured.
  const order = [...(id === undefined ? [] : [id.register]), ...participants.keys()]
  const names = [...new Set([...order.filter((name) => named.has(name)), ...named])]
  const decision = await decisionOf(look, traces, answer)
  return {
    txid,
    transactionId: id === undefined ? undefined : formatTransactionId(id),
    register: id?.register,
    decision,
    branches: names.map((name) => shownBranch(app, participants, traces, decision, name)),
    resolutions,
    unreachable,
  }
}

interface Traces {
  readonly txid: string
  /** Undefined where nothing names the register. */
  readonly id: TransactionId | undefined
  readonly branches: readonly Found[]
  readonly marks: ReadonlyMap<string, StandingMark>
  readonly resolutions: readonly Resolution[]
  readonly unreachable: readonly Unreachable[]
}

async function tracesOf(app: string, participants: Participants, given: Given): Promise<Traces> {
  const txid = given.kind === 'bare' ? given.txid : given.id.txid
  // Listed first: what has ended since is then found by its mark.
  const listed = await findPrepared(app, participants, txid)
  const read = await fromEach(participants, (each) => each.byHand.mark(txid))
  const records = await fromEach(participants, (each) => each.byHand.resolutions())
  const marks = new Map<string, StandingMark>()
  for (const [name, mark] of read.answers) if (mark !== undefined) marks.set(name, mark)
  const resolutions = [...records.answers.values()]
    .flat()
    .filter((each) => each.txid === txid && each.app === app)
  const unreachable = new Map(
    [...listed.unreachable, ...read.unreachable].map((each) => [each.participant, each]),
  )
  return {
    txid,
    id:
      given.kind === 'registered' ? given.id : idOf(app, txid, listed.branches, marks, resolutions),
    branches: listed.branches,
    marks,
    resolutions,
    unreachable: [...unreachable.values()],
  }
}

function shownBranch(
  app: string,
  participants: Participants,
  { id, branches, marks, unreachable }: Traces,
  decision: Shown['decision'],
  name: string,
): ShownBranch {
  const found = branches.find(({ at }) => at === name)
  const mark = marks.get(name)
  const state = stateOf(participants, name, unreachable, found, mark)
  return {
    participant: name,
    role: name === id?.register ? 'decider' : 'voter',
    state,
    gid: found?.branch.gid,
    ageMs: found?.branch.ageMs,
    owner: found?.branch.owner,
    mark,
    waitsFor:
      found === undefined || state !== 'prepared'
        ? undefined
        : waitsFor(app, participants, found, decision),
  }
}

function waitsFor(
  app: string,
  participants: Participants,
  { at, gid, branch }: Found,
  decision: Shown['decision'],
): StandingReason | undefined {
  const participant = participants.get(at)
  if (participant !== undefined && isDecidersOwn(participant, gid)) return 'decider-prepared'
  const judged = judge(app, at, branch, (name) => participants.has(name))
  if (judged?.kind === 'alone') return judged.doubt.reason as StandingReason
  if (decision === 'not-configured' || decision === 'nobody-asked') return 'register-not-configured'
  return reasonOf(decision)
}

async function decisionOf(
  look: Look,
  { id, marks, branches }: Traces,
  answer: AskAnswer | undefined,
): Promise<Shown['decision']> {
  if (answer === undefined || id === undefined) {
    return id === undefined ? 'nobody-asked' : 'not-configured'
  }
  const conclusion = conclude(answer)
  if (!isUnwritten(answer)) return conclusion
  // The marks were read first. A receipt is only there behind a decision.
  if ([...marks.keys()].some((name) => name !== id.register)) return 'contradicted'
  if (branches.length === 0) return conclusion
  const isDistrusted = await isContradicted(look, formatTransactionId(id))
  return isDistrusted ? 'contradicted' : conclusion
}

function stateOf(
  participants: Participants,
  name: string,
  unreachable: readonly Unreachable[],
  branch: Found | undefined,
  mark: StandingMark | undefined,
): ShownBranch['state'] {
  if (!participants.has(name)) return 'not-configured'
  if (mark !== undefined) return 'applied'
  if (branch !== undefined) return 'prepared'
  return unreachable.some(({ participant }) => participant === name) ? 'unreachable' : 'nothing'
}

/** A prepared branch of one transaction. */
export interface Found {
  /** The participant where it is listed. */
  readonly at: string
  readonly gid: Gid
  readonly branch: PreparedBranch
}

export async function findPrepared(
  app: string,
  participants: Participants,
  txid: string,
): Promise<{ readonly branches: readonly Found[]; readonly unreachable: readonly Unreachable[] }> {
  const { answers, unreachable } = await fromEach(participants, (each) => each.listPrepared())
  const branches = [...answers].flatMap(([at, list]) =>
    list.branches.flatMap((branch) => {
      const reading = readGid(branch.gid, app)
      const isIts = reading.kind === 'ours' && reading.gid.txid === txid
      return isIts ? [{ at, gid: reading.gid, branch }] : []
    }),
  )
  return { branches, unreachable }
}

/** What a bare txid's traces say of its register. */
function idOf(
  app: string,
  txid: string,
  branches: readonly Found[],
  marks: ReadonlyMap<string, StandingMark>,
  [resolution]: readonly Resolution[],
): TransactionId | undefined {
  // A decider's own names no epoch: any other trace tells more.
  const branch = branches.find(({ gid }) => gid.epoch !== NO_EPOCH)
  if (branch !== undefined) return branch.gid
  const [mark] = marks.values()
  if (mark === undefined && resolution !== undefined) {
    const { register, epoch } = resolution
    return { app, txid, register, epoch }
  }
  if (mark === undefined && branches[0] !== undefined) return branches[0].gid
  if (mark?.app !== app) return undefined
  return { app, txid, register: mark.register, epoch: mark.epoch }
}
