/**
 * What a participant or a register can answer, as values.
 *
 * Owns: the three-valued answers of the protocol and what a register's answer means (`conclude`).
 * Promises: nothing unclear is ever folded into a yes or a no: `unknown` is a member of its own.
 * Never: knows which text of which system means what. That whitelist is the system's (`systems/`).
 */

/** A participant's answer to a claim, a vote or a COMMIT. */
export type Answer =
  | { readonly answer: 'yes' }
  /** Definite: what was asked for did not happen and never will. */
  | { readonly answer: 'no'; readonly cause: unknown }
  /** It may have happened, may happen later, or may never have arrived. */
  | { readonly answer: 'unknown'; readonly cause: unknown }

/** The answer to ending a branch: COMMIT PREPARED, ROLLBACK PREPARED, or ROLLBACK of open work. */
export type EndAnswer =
  | { readonly answer: 'done' }
  /** "No such prepared transaction": somebody ended it, it is not prepared yet, or it was lost. */
  | { readonly answer: 'missing' }
  | { readonly answer: 'unknown'; readonly cause: unknown }

/**
 * What a mark's row can say. `settled`: committed, and durably applied by every participant.
 * `heuristic-…`: a person decided, where nothing safe could be concluded (see `resolution.ts`). It is
 * obeyed like any other, is never settled and never forgotten.
 */
export const DECISIONS = [
  'commit',
  'settled',
  'abort',
  'heuristic-commit',
  'heuristic-abort',
] as const

export type Decision = (typeof DECISIONS)[number]

export function isDecision(text: unknown): text is Decision {
  return (DECISIONS as readonly unknown[]).includes(text)
}

/** What a row that is found means: it is always obeyed. */
export function meaningOf(decision: Decision): 'commit' | 'abort' {
  switch (decision) {
    case 'commit':
    case 'settled':
    case 'heuristic-commit':
      return 'commit'
    case 'abort':
    case 'heuristic-abort':
      return 'abort'
    default:
      return assertNever(decision)
  }
}

/**
 * The answer to *Ask*, the one way to read a mark.
 *
 * `found` and `absent` are only ever given after the asker's own transaction ended as the rule says:
 * `found` after its COMMIT was acknowledged without a warning (seen is not durable), `absent` while
 * the asker's own row kept the key.
 */
export type AskAnswer =
  /** A transaction with that key is still open or prepared here. */
  | { readonly answer: 'waits' }
  | { readonly answer: 'found'; readonly decision: Decision }
  /** `memory`: whether the epoch was listed, by the present server, while our row held the key. */
  | { readonly answer: 'absent'; readonly memory: 'remembered' | 'forgotten' }
  | { readonly answer: 'unknown'; readonly cause: unknown }

/** What is known of a decision after asking its register. */
export type Conclusion =
  | 'commit'
  | 'abort'
  /** The owner's transaction is still open. */
  | 'running'
  /** No row, and the register does not remember the epoch: nothing safe can be concluded. */
  | 'held'
  /** No usable answer; ask again. */
  | 'unclear'

/**
 * What a register's answer means (design, *Memory*): a row that is found is always obeyed; a
 * missing row means abort only if the epoch is remembered.
 */
export function conclude(asked: AskAnswer): Conclusion {
  switch (asked.answer) {
    case 'found':
      return meaningOf(asked.decision)
    case 'absent':
      return asked.memory === 'remembered' ? 'abort' : 'held'
    case 'waits':
      return 'running'
    case 'unknown':
      return 'unclear'
    default:
      return assertNever(asked)
  }
}

/**
 * An abort for want of a row: `conclude` says so, and a database that was put back to a backup may say it of
 * what it had decided.
 */
export function isUnwritten(asked: AskAnswer): boolean {
  return asked.answer === 'absent' && asked.memory === 'remembered'
}

/** Ends a `switch` over a union: a member that was forgotten is a compile error. */
export function assertNever(value: never): never {
  throw new Error(`impossible value: ${JSON.stringify(value)}`)
}
