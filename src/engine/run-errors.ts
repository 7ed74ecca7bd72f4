/**
 * Why a transaction went no further than its work, in words.
 */
import { AssentError } from '../protocol/index.ts'
import type { MarkSite } from '../ports/index.ts'

/** As the statement's own error; what became of the transaction, its promise tells. */
export function ended(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_BRANCH_ENDED',
    outcome: 'unknown',
    message:
      `${name} was used after its transaction's function had returned; this statement was not ` +
      `run. Await every statement inside the function given to transaction().`,
  })
}

export function cannotPrepare(
  refused: readonly string[],
  decider: string | undefined,
): AssentError {
  const wished = decider === undefined ? '' : ` (decider: '${decider}' leaves no choice)`
  return new AssentError({
    code: 'ASSENT_CANNOT_PREPARE',
    outcome: 'aborted',
    message:
      `${refused.join(' and ')} wrote, and can't keep a prepared transaction${wished}: only one ` +
      `such database can take part, as the decider. Set max_prepared_transactions (and restart) ` +
      `on the others, or declare those that only read in \`reads\`.`,
  })
}

/** @throws AssentError when two of the sites, in the order of the names, are one database */
export function refuseSameDatabase(names: readonly string[], sites: readonly MarkSite[]): void {
  const ids = sites.map((site) => site.databaseId)
  const at = ids.findIndex((id, index) => ids.indexOf(id) !== index)
  if (at === -1) return
  const twin = names[ids.indexOf(ids[at] ?? '')]
  throw new AssentError({
    code: 'ASSENT_SAME_DATABASE',
    outcome: 'aborted',
    message:
      `${twin} and ${names[at]} are the same database, and would wait for each other's marks. ` +
      `Configure it once; one branch can use all of its schemas.`,
  })
}

/** An error of ours may say that running again does not help: a replica stays one. */
export function mayPass(cause: unknown): boolean {
  return !(cause instanceof AssentError) || cause.retryable
}
