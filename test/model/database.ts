/**
 * One model database, as far as one transaction can see it.
 *
 * Owns: what a branch is between its statements, and its row after them, until it is forgotten; who
 * holds the mark's key, and what a crash leaves.
 * Promises: whatever is committed or prepared takes two steps, in the order that the kind of database
 * has them, so that a crash, or somebody who looks, can come between.
 * Never: knows who asks.
 */

/**
 * `durable-first` (PostgreSQL): flushed, then shown. `visible-first` (InnoDB, and PostgreSQL when
 * its wait for replication is cut off): shown, then flushed.
 */
export type Order = 'durable-first' | 'visible-first'
export type Site = 'D' | 'P'

export type BranchWord =
  | 'open'
  /** Open, with the mark's row in it. */
  | 'marked'
  /** PREPARE is durable, and not listed yet. */
  | 'preparing'
  /** PREPARE is listed, and not durable yet. */
  | 'listed'
  | 'prepared'
  /** Committed durably; others still find it open, or prepared. */
  | 'committing'
  /** Others see the commit; a crash would lose it. */
  | 'seen'
  | 'committed'
  /** ROLLBACK PREPARED was done, and a crash would bring the branch back. */
  | 'undone'
  | 'gone'
  /** The database was set back and lost a branch that it had promised to keep. */
  | 'lost'
  /** The row's life after COMMIT. `settled` is the decider's only. */
  | 'settled'
  | 'deleted'
  /** Durable; others still see what it was, and wait for its lock. */
  | 'settling'
  | 'deleting commit'
  | 'deleting settled'
  /** Others see it; a crash would leave what is behind `over`, or what was before the commit. */
  | 'settled over commit'
  | 'settled over nothing'
  | 'deleted over settled'
  | 'deleted over commit'
  | 'deleted over nothing'

export type Row = 'nothing' | 'commit' | 'settled'

interface Meaning {
  /** What somebody reads under the mark's key. */
  readonly shows: Row
  /** Whether it keeps everybody else from the key. */
  readonly key: 'free' | 'held'
  /** What it becomes with its second half; itself when nothing is half done. */
  readonly whole: BranchWord
  /** What a crash leaves: `before` is what was there before COMMIT began. */
  readonly kept: BranchWord | 'before'
}

const MEANINGS: Readonly<Record<BranchWord, Meaning>> = {
  open: { shows: 'nothing', key: 'free', whole: 'open', kept: 'gone' },
  marked: { shows: 'nothing', key: 'held', whole: 'marked', kept: 'gone' },
  preparing: { shows: 'nothing', key: 'held', whole: 'prepared', kept: 'prepared' },
  listed: { shows: 'nothing', key: 'held', whole: 'prepared', kept: 'gone' },
  prepared: { shows: 'nothing', key: 'held', whole: 'prepared', kept: 'prepared' },
  committing: { shows: 'nothing', key: 'held', whole: 'committed', kept: 'committed' },
  seen: { shows: 'commit', key: 'free', whole: 'committed', kept: 'before' },
  committed: { shows: 'commit', key: 'free', whole: 'committed', kept: 'committed' },
  undone: { shows: 'nothing', key: 'free', whole: 'gone', kept: 'prepared' },
  gone: { shows: 'nothing', key: 'free', whole: 'gone', kept: 'gone' },
  lost: { shows: 'nothing', key: 'free', whole: 'lost', kept: 'lost' },
  settled: { shows: 'settled', key: 'free', whole: 'settled', kept: 'settled' },
  deleted: { shows: 'nothing', key: 'free', whole: 'deleted', kept: 'deleted' },
  settling: { shows: 'commit', key: 'held', whole: 'settled', kept: 'settled' },
  'deleting commit': { shows: 'commit', key: 'held', whole: 'deleted', kept: 'deleted' },
  'deleting settled': { shows: 'settled', key: 'held', whole: 'deleted', kept: 'deleted' },
  'settled over commit': { shows: 'settled', key: 'free', whole: 'settled', kept: 'committed' },
  'settled over nothing': { shows: 'settled', key: 'free', whole: 'settled', kept: 'before' },
  'deleted over settled': { shows: 'nothing', key: 'free', whole: 'deleted', kept: 'settled' },
  'deleted over commit': { shows: 'nothing', key: 'free', whole: 'deleted', kept: 'committed' },
  'deleted over nothing': { shows: 'nothing', key: 'free', whole: 'deleted', kept: 'before' },
}

/** Whether the branch, or a change of its row, keeps everybody else from its mark's key. */
export function holdsKey(branch: BranchWord): boolean {
  return MEANINGS[branch].key === 'held'
}

/** What others read under its mark's key. */
export function shownRow(branch: BranchWord): Row {
  return MEANINGS[branch].shows
}

/** Whether others read its mark. */
export function showsMark(branch: BranchWord): boolean {
  return MEANINGS[branch].shows !== 'nothing'
}

/** Whether the list of prepared transactions has it (asked of P only: D never prepares). */
export function isListed(branch: BranchWord): boolean {
  return branch === 'listed' || branch === 'prepared' || branch === 'committing'
}

/** Whether its commit would survive a crash, whatever became of its row since. */
export function isDurablyCommitted(branch: BranchWord): boolean {
  const { kept } = MEANINGS[branch]
  return kept === 'committed' || kept === 'settled' || kept === 'deleted'
}

/** Whether anything was done to its row since it was committed, visible or durable. */
export function isForgettingBegun(branch: BranchWord): boolean {
  return /settl|delet/.test(branch)
}

export function beginPrepare(order: Order): BranchWord {
  return order === 'durable-first' ? 'preparing' : 'listed'
}

export function beginCommit(order: Order): BranchWord {
  return order === 'durable-first' ? 'committing' : 'seen'
}

/** The first half of an UPDATE to `settled`; nobody has the row's lock. */
export function beginSettle(branch: BranchWord, order: Order): BranchWord {
  if (shownRow(branch) !== 'commit') return branch
  if (order === 'durable-first') return 'settling'
  return branch === 'seen' ? 'settled over nothing' : 'settled over commit'
}

/** The first half of a DELETE; nobody has the row's lock. */
export function beginDelete(branch: BranchWord, order: Order): BranchWord {
  const shown = shownRow(branch)
  if (shown === 'nothing') return branch
  if (order === 'durable-first') return `deleting ${shown}`
  const { kept } = MEANINGS[branch]
  if (kept === 'before') return 'deleted over nothing'
  return kept === 'settled' ? 'deleted over settled' : 'deleted over commit'
}

/** The second half of what was begun; undefined when nothing is half done. */
export function finished(branch: BranchWord): BranchWord | undefined {
  const { whole } = MEANINGS[branch]
  return whole === branch ? undefined : whole
}

/** What COMMIT PREPARED or ROLLBACK PREPARED finds and does. */
export type Ending =
  /** The other one must come to an end first. */
  | { readonly kind: 'waits' }
  | { readonly kind: 'begun'; readonly branch: BranchWord }
  | { readonly kind: 'answered'; readonly branch: BranchWord; readonly answer: EndWord }
export type EndWord = 'done' | 'missing' | 'unknown'

export function endPrepared(branch: BranchWord, how: 'commit' | 'rollback', order: Order): Ending {
  if (branch === 'listed') return { kind: 'waits' }
  // PostgreSQL: "prepared transaction … is busy" (55000), which is no definite answer.
  if (branch === 'committing') return { kind: 'answered', branch, answer: 'unknown' }
  if (branch !== 'prepared') return { kind: 'answered', branch, answer: 'missing' }
  if (how === 'commit') return { kind: 'begun', branch: beginCommit(order) }
  if (order === 'visible-first') return { kind: 'begun', branch: 'undone' }
  return { kind: 'answered', branch: 'gone', answer: 'done' }
}

/** What is left when the session that has the branch ends. */
export function afterSession(branch: BranchWord): BranchWord {
  return branch === 'open' || branch === 'marked' ? 'gone' : branch
}

/** What is left when the server was killed and started again. */
export function afterCrash(branch: BranchWord, site: Site): BranchWord {
  const { kept } = MEANINGS[branch]
  if (kept !== 'before') return kept
  return site === 'D' ? 'gone' : 'prepared'
}
