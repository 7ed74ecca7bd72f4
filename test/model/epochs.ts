/**
 * The epoch that the transaction names, and the server that it was opened by.
 *
 * Owns: what the register's list says of it, before and after a crash, and what that means to a claim,
 * to whoever asks, and to whoever cleans.
 * Promises: opening and unlisting take two steps each, as every committed write does.
 */
import type { Order } from './database.ts'
import type { Machines } from './rules.ts'
import type { World } from './world.ts'

export type EpochWord =
  /** Others see it; a crash would lose it. */
  | 'appearing'
  | 'listed'
  /** Unlisted durably; others still see it. */
  | 'unlisting'
  /** Others find it unlisted; a crash would bring it back. */
  | 'vanishing'
  | 'unlisted'
  /** Its opening was lost in a crash. */
  | 'never opened'

interface Meaning {
  readonly shown: 'yes' | 'no'
  readonly whole: EpochWord
  readonly kept: EpochWord
}

const MEANINGS: Readonly<Record<EpochWord, Meaning>> = {
  appearing: { shown: 'yes', whole: 'listed', kept: 'never opened' },
  listed: { shown: 'yes', whole: 'listed', kept: 'listed' },
  unlisting: { shown: 'yes', whole: 'unlisted', kept: 'unlisted' },
  vanishing: { shown: 'no', whole: 'unlisted', kept: 'listed' },
  unlisted: { shown: 'no', whole: 'unlisted', kept: 'unlisted' },
  'never opened': { shown: 'no', whole: 'never opened', kept: 'never opened' },
}

export function isShown(epoch: EpochWord): boolean {
  return MEANINGS[epoch].shown === 'yes'
}

export function beginUnlisting(order: Order): EpochWord {
  return order === 'durable-first' ? 'unlisting' : 'vanishing'
}

/** With its second half; itself when nothing is half done. */
export function wholeEpoch(epoch: EpochWord): EpochWord {
  return MEANINGS[epoch].whole
}

export function epochAfterCrash(epoch: EpochWord): EpochWord {
  return MEANINGS[epoch].kept
}

/** Whether the claim finds its epoch listed, by the present server. */
export function mayClaim({ epoch, server }: World, { rules }: Machines): boolean {
  return isShown(epoch) && (server === 'first' || rules.claims === 'of any server')
}

/** Whether a missing row means abort: the epoch is listed, by the present server if that counts. */
export function isRemembered(world: World, { rules }: Machines): boolean {
  const isCompared = world.failover === 'lossy' && rules.server === 'compared'
  return isShown(world.epoch) && (world.server === 'first' || !isCompared)
}
