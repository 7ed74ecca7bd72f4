/**
 * Recovery, until nothing is left to recover.
 */

/** What `Assent` offers for it. */
interface Recoverable<Doubt extends { readonly reason: string }> {
  recover(): Promise<readonly Doubt[]>
}

/** Between two tries, in milliseconds. */
const AGAIN_MS = 50

/**
 * Recovers until nothing of this app is in doubt, and resolves with what still is after `timeoutMs`:
 * nothing, as a rule. A server notices only after a moment that a connection was cut; until then its
 * transaction is still running.
 *
 * @param options `timeoutMs`: default 10,000
 * @throws what `assent.recover()` throws: a database can't be reached
 * @example
 * ```ts
 * import type { Assent } from 'assent'
 * import { settled } from 'assent/testing'
 *
 * export async function expectSettled(assent: Assent): Promise<void> {
 *   const left = await settled(assent)
 *   if (left.length > 0) throw new Error(left.map(({ reason }) => reason).join())
 * }
 * ```
 */
export async function settled<Doubt extends { readonly reason: string }>(
  assent: Recoverable<Doubt>,
  { timeoutMs = 10_000 }: { readonly timeoutMs?: number } = {},
): Promise<readonly Doubt[]> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    // Other apps' processes recover theirs; on MySQL and MariaDB all of a server are listed.
    const left = (await assent.recover()).filter(({ reason }) => reason !== 'other-app')
    if (left.length === 0 || performance.now() >= deadline) return left
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
  }
}
