/**
 * Whose a listed branch is.
 *
 * Never: says what becomes of it. Its register does.
 */
import { readGid } from '../protocol/index.ts'
import type { Gid } from '../protocol/index.ts'
import type { PreparedBranch } from '../ports/index.ts'
import { inDoubtOf } from './recover.ts'
import type { InDoubt } from './reports.ts'

export type Judged =
  | { readonly kind: 'ours'; readonly gid: Gid }
  /** Left alone here, and reported with its reason. */
  | { readonly kind: 'alone'; readonly doubt: InDoubt }

/** `isConfigured`: whether there is a participant of a name. Undefined: no business of Assent's. */
export function judge(
  app: string,
  participant: string,
  { gid: text, ageMs, mayEnd }: PreparedBranch,
  isConfigured: (name: string) => boolean,
): Judged | undefined {
  const reading = readGid(text, app)
  if (reading.kind === 'stranger') return undefined
  if (reading.kind !== 'ours') {
    const names = { transactionId: undefined, register: undefined }
    return {
      kind: 'alone',
      doubt: { participant, gid: text, ageMs, reason: reading.kind, ...names },
    }
  }
  const { gid } = reading
  if (mayEnd && isConfigured(gid.register)) return { kind: 'ours', gid }
  const reason = mayEnd ? 'register-not-configured' : 'not-owner'
  return { kind: 'alone', doubt: inDoubtOf(participant, gid, ageMs, reason) }
}
