/**
 * Why a mark could not be written, or the COMMIT behind it could not run, where PostgreSQL's own words
 * would not help.
 */
import { AssentError } from '../../protocol/index.ts'

export function staleEpoch(name: string, epoch: string): AssentError {
  return new AssentError({
    code: 'ASSENT_STALE_EPOCH',
    outcome: 'aborted',
    retryable: true,
    message:
      `${name} does not list epoch ${epoch} for its present server: it failed over, was restored, ` +
      `or has just opened another one. The next transaction names the new epoch.`,
  })
}

export function notAllowed(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_PRIVILEGE',
    outcome: 'aborted',
    message:
      `The role that logs in to ${name} may not write Assent's tables any more. Grant it USAGE on ` +
      `their schema, and SELECT, INSERT, UPDATE and DELETE on the tables`,
  })
}

/** Of this branch's work alone: whether a COMMIT or a ROLLBACK ended it, nobody can tell. */
export function notTheSame(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_TRANSACTION_CONTROL',
    outcome: 'unknown',
    message:
      `The transaction in ${name} is not the one that Assent began, or its claim is gone: a ` +
      `statement or a function ended it, closed all of its cursors, or deleted from Assent's tables`,
  })
}

export function tablesGone(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_SCHEMA_MISSING',
    outcome: 'aborted',
    retryable: true,
    message:
      `Assent's tables in ${name} are gone, or changed, since they were checked. The next ` +
      `transaction checks them anew, and creates them if it may`,
  })
}
