/**
 * One model database, as far as one transaction can see it.
 *
 * Owns: what a branch is between its statements, who holds the mark's key, and what a crash leaves.
 * Promises: COMMIT and PREPARE are two steps each, in the order that the kind of database has them,
 * so that a crash, or somebody who looks, can come between.
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

/** Whether the branch keeps everybody else from its mark's key. */
export function holdsKey(branch: BranchWord): boolean {
  return ['marked', 'preparing', 'listed', 'prepared', 'committing'].includes(branch)
}

/** Whether others read its mark. */
export function showsMark(branch: BranchWord): boolean {
  return branch === 'seen' || branch === 'committed'
}

/** Whether the list of prepared transactions has it (asked of P only: D never prepares). */
export function isListed(branch: BranchWord): boolean {
  return branch === 'listed' || branch === 'prepared' || branch === 'committing'
}

export function isDurablyCommitted(branch: BranchWord): boolean {
  return branch === 'committing' || branch === 'committed'
}

export function beginPrepare(order: Order): BranchWord {
  return order === 'durable-first' ? 'preparing' : 'listed'
}

export function beginCommit(order: Order): BranchWord {
  return order === 'durable-first' ? 'committing' : 'seen'
}

/** The second half of what was begun; undefined when nothing is half done. */
export function finished(branch: BranchWord): BranchWord | undefined {
  switch (branch) {
    case 'preparing':
    case 'listed':
      return 'prepared'
    case 'committing':
    case 'seen':
      return 'committed'
    case 'undone':
      return 'gone'
    case 'open':
    case 'marked':
    case 'prepared':
    case 'committed':
    case 'gone':
    case 'lost':
      return undefined
  }
}

/** What COMMIT PREPARED or ROLLBACK PREPARED finds and does. */
export type Ending =
  /** The other one must come to an end first. */
  | { readonly kind: 'waits' }
  | { readonly kind: 'begun'; readonly branch: BranchWord }
  | { readonly kind: 'answered'; readonly branch: BranchWord; readonly answer: EndWord }
export type EndWord = 'done' | 'missing' | 'unknown'

export function endPrepared(branch: BranchWord, how: 'commit' | 'rollback', order: Order): Ending {
  switch (branch) {
    case 'prepared':
      if (how === 'commit') return { kind: 'begun', branch: beginCommit(order) }
      if (order === 'visible-first') return { kind: 'begun', branch: 'undone' }
      return { kind: 'answered', branch: 'gone', answer: 'done' }
    case 'listed':
      return { kind: 'waits' }
    case 'committing':
      // PostgreSQL: "prepared transaction … is busy" (55000), which is no definite answer.
      return { kind: 'answered', branch, answer: 'unknown' }
    case 'open':
    case 'marked':
    case 'preparing':
    case 'seen':
    case 'committed':
    case 'undone':
    case 'gone':
    case 'lost':
      return { kind: 'answered', branch, answer: 'missing' }
  }
}

/** What is left when the session that has the branch ends. */
export function afterSession(branch: BranchWord): BranchWord {
  return branch === 'open' || branch === 'marked' ? 'gone' : branch
}

/** What is left when the server was killed and started again. */
export function afterCrash(branch: BranchWord, site: Site): BranchWord {
  switch (branch) {
    case 'open':
    case 'marked':
    case 'listed':
      return 'gone'
    case 'preparing':
      return 'prepared'
    case 'committing':
      return 'committed'
    case 'seen':
      return site === 'D' ? 'gone' : 'prepared'
    case 'undone':
      return 'prepared'
    case 'prepared':
    case 'committed':
    case 'gone':
    case 'lost':
      return branch
  }
}
