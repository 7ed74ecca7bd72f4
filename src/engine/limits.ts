/**
 * Every bound of the engine, with its name and default.
 */
export const LIMITS = {
  /** `timeoutMs` when none is given. */
  timeoutMs: 30_000,
  /** The longest `timeoutMs`. */
  longestTimeoutMs: 3_600_000,
  /** `retentionMs` when none is given: how long a transaction that is over is remembered. A day. */
  retentionMs: 86_400_000,
  shortestRetentionMs: 10_000,
  longestRetentionMs: 366 * 86_400_000,
  /** `timeoutMs` is at most this part of `retentionMs`: what still runs must be remembered. */
  timeoutsInRetention: 10,
  /** Epochs that are opened within one retention: marks are kept for up to 1/4 longer. */
  epochsInRetention: 4,
  /** How often a database's marks are gone through within one retention, at the least. */
  passesInRetention: 8,
  /** Mean time between two times that a database's marks are gone through, at the most. */
  forgetMs: 3_600_000,
  /** A receipt that is younger is not asked for its decision: nearly all would be asked in vain. */
  witnessAfterMs: 60_000,
  /** Lost votes and lost decisions that a process remembers having reported. */
  alarmsRemembered: 10_000,
  /**
   * How long a COMMIT that was sent may go unanswered after the caller's time ran out, before the
   * caller is told `unknown`. Most answer within milliseconds, and a known outcome is worth them.
   */
  commitAnswerMs: 1_000,
  /**
   * How long a message of the commit path may go unanswered once the caller was told; and before, if
   * he would wait for longer.
   */
  answerMs: 30_000,
  /** Rounds that this process tries to end a branch handed over to recovery; then scans go on. */
  handOverRounds: 20,
  /** Branches that one call of `recover()` works on at the same time. */
  recoveriesAtOnce: 8,
  /** How long recovery waits for the others to say whether they have a receipt: see `Recovery`. */
  lookForReceiptsMs: 1_000,
  /** For how long one that did not answer in that time is left alone. */
  silentMs: 10_000,
  /** Rounds under way for each register, beside the scans. */
  roundsAtOnce: 4,
  /** A branch that is left alone is reported once it is older than this. */
  reportAfterMs: 5_000,
  /** The longest that `outcome()` takes when it was not asked to wait. */
  outcomeMs: 5_000,
  /** A branch younger than this is probably still being decided: look again a little later. */
  courtesyMs: 150,
  /** A scan may come so much early, to share the moment of another database's: see `Pauses`. */
  earlyScanMs: 300,
  /** Mean time between two scans of a database, over all processes, but for those that come early. */
  scanMs: 1_000,
  /** The most retries that `retry.attempts` may ask for. */
  mostAttempts: 100,
  /** How long `close()` waits for what is still being finished. */
  closeMs: 5_000,
} as const
