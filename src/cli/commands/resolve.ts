/**
 * `assent resolve ID --commit|--abort`: the last resort.
 *
 * Promises: says what it would do, branch by branch, and asks, before anything is changed; without a
 * terminal to ask at and without --yes it refuses.
 */
import { hostname, userInfo } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { assertNever, formatTransactionId } from '../../protocol/index.ts'
import { offerResolution, resolveAsOffered } from '../../engine/index.ts'
import type { BranchEnd, Offer, Refused, Resolved } from '../../engine/index.ts'
import { CommandError } from '../exit-codes.ts'
import type { ExitName } from '../exit-codes.ts'
import { inSession } from '../session.ts'
import type { CommonFlags, Session } from '../session.ts'
import { durationOf, messageOf, refusalOf, tableOf } from '../words.ts'

export interface ResolveFlags extends CommonFlags {
  readonly commit?: boolean
  readonly abort?: boolean
  readonly yes?: boolean
  readonly reason?: string
  readonly by?: string
  readonly registerLost?: boolean
}

const LONGEST_TEXT = 1_000

export async function resolve(id: string, flags: ResolveFlags): Promise<ExitName> {
  const wish = wishOf(flags)
  const signature = { decidedBy: flags.by ?? whoRuns(), reason: flags.reason ?? '' }
  for (const [flag, text] of [
    ['--by', signature.decidedBy],
    ['--reason', signature.reason],
  ] as const) {
    if (text.length > LONGEST_TEXT) {
      throw new CommandError('usage', `${flag} is longer than ${LONGEST_TEXT} characters`)
    }
  }
  const mayAsk = process.stdin.isTTY && process.stderr.isTTY && flags.json !== true
  if (flags.yes !== true && !mayAsk) {
    throw new CommandError(
      'refused',
      'resolve asks before it ends anything, and there is no terminal to ask at. Say --yes if you are sure',
    )
  }
  return inSession(flags, async (session) => {
    const { operator, say } = session
    const registerIs = flags.registerLost === true ? 'called lost' : 'expected'
    const offered = await offerResolution(operator, id, wish, registerIs)
    if (offered.kind === 'refused') throw refused(offered.refused)
    const { offer } = offered
    say.text(offerText(offer))
    if (flags.yes !== true) await askFor(wish)
    const resolved = await resolveAsOffered(operator, offer, signature)
    return tell(session, offer, resolved)
  })
}

function wishOf({ commit, abort }: ResolveFlags): 'commit' | 'abort' {
  if (commit === true && abort === true) {
    throw new CommandError('usage', '--commit contradicts --abort: give one of them')
  }
  if (commit !== true && abort !== true) {
    throw new CommandError('usage', 'resolve needs a decision: --commit or --abort')
  }
  return commit === true ? 'commit' : 'abort'
}

function whoRuns(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    return `unknown@${hostname()}`
  }
}

function refused({ transactionId, why, facts }: Refused): CommandError {
  return new CommandError(
    why === 'not-found' || why === 'nothing-prepared' ? 'notFound' : 'refused',
    refusalOf(why, {
      id: transactionId,
      wish: facts.wish,
      registerIs: facts.registerIs,
      register: transactionId.split('.')[2] ?? 'its register',
      receipts: facts.receipts,
      unread: facts.unread,
    }),
  )
}

function offerText({ id, wish, plan, branches, facts }: Offer): string {
  const verb = wish === 'commit' ? 'commit' : 'roll back'
  const rows = branches.map(({ at, branch }) => [
    `  ${at}`,
    `${verb} the branch prepared for ${durationOf(branch.ageMs)}, owned by ${branch.owner}`,
  ])
  const first =
    plan === 'decide-there'
      ? [`  ${id.register}`, `write heuristic-${wish}, once and for all`]
      : [
          `  ${id.register}`,
          'nothing: it is lost. If it comes back with the other decision, an alarm tells',
        ]
  const receipts =
    facts.receipts.length > 0
      ? `Its commit has been applied in ${facts.receipts.join(', ')}.\n`
      : ''
  return (
    `Decides ${wish} for ${formatTransactionId(id)}, which nothing else can decide any more:\n` +
    `${tableOf([first, ...rows])}${receipts}` +
    'Be sure that no process still works on it, and that no other server of this register can be reached.\n'
  )
}

/** @throws CommandError unless the decision is typed */
async function askFor(wish: 'commit' | 'abort'): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`Type ${wish} to do this, anything else to leave it: `)
    if (answer.trim() === wish) return
  } finally {
    terminal.close()
  }
  throw new CommandError('refused', 'nothing was changed')
}

function tell({ say }: Session, offer: Offer, resolved: Resolved): ExitName {
  if (resolved.kind === 'refused') throw refused(resolved.refused)
  const { ends } = resolved
  say.json({
    transactionId: formatTransactionId(offer.id),
    decision: offer.wish,
    register: offer.plan === 'decide-there' ? 'written' : 'lost',
    branches: ends.map(({ gid, end }) => ({ gid, end: end.answer })),
  })
  say.text(tableOf(ends.map(({ gid, end }) => [endText(end, offer.wish), gid])))
  let stays: ExitName = 'ok'
  for (const { gid, end } of ends) {
    if (end.answer === 'done' || end.answer === 'missing') continue
    stays = 'stays'
    say.warn(`${gid} stays prepared: ${messageOf(end.cause)}. ${nextOf(offer)}`)
  }
  return stays
}

function nextOf({ plan, id, wish }: Offer): string {
  return plan === 'decide-there'
    ? 'The decision stands: run assent recover'
    : `Run assent resolve ${formatTransactionId(id)} --${wish} --register-lost again`
}

function endText(end: BranchEnd, wish: 'commit' | 'abort'): string {
  switch (end.answer) {
    case 'done':
      return wish === 'commit' ? 'committed' : 'rolled back'
    case 'missing':
      return 'gone already'
    case 'unknown':
    case 'not-recorded':
      return 'not ended'
    default:
      return assertNever(end)
  }
}
