/**
 * Why a mark could not be written, where the server's own words would not help.
 */
import { AssentError } from '../../protocol/index.ts'

export function staleEpoch(name: string, epoch: string): AssentError {
  return new AssentError({
    code: 'ASSENT_STALE_EPOCH',
    outcome: 'aborted',
    retryable: true,
    message:
      `${name} does not list epoch ${epoch} for its present server, or is set to lose what it ` +
      `answered in a crash: it failed over, was restored, was set anew, or has just opened another ` +
      `epoch. The next transaction checks it, and names the new epoch.`,
  })
}

/** A mark without the server's leave: it is set to lose what it answered in a crash. */
export function notDurable(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_NOT_DURABLE',
    outcome: 'aborted',
    retryable: true,
    message:
      `${name} did not take its receipt: it is set to lose what it answered in a crash, since it was ` +
      `checked. The next transaction checks it anew, and says what to change`,
  })
}

/** Of this branch's work alone: whether any of it was committed, nobody can tell. */
export function notTheSame(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_TRANSACTION_CONTROL',
    outcome: 'unknown',
    message:
      `The transaction in ${name} is not the one that Assent began: its session was reset, or ended by ` +
      `whatever is between its pool and the server`,
  })
}
