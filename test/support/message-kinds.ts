/**
 * The messages of the commit path, told by their SQL.
 */
import type { FrontendMessage } from '../../harness/wire-frames.ts'

const KINDS = {
  /** BEGIN with the claim behind it, and the user's first statement. */
  'first-claim': /^BEGIN.*INSERT INTO "assent"\.mark (?!.*ON CONFLICT)/s,
  /** A claim that did not go along with BEGIN, or that becomes another one. */
  claim: /^SET CONSTRAINTS.*(INSERT INTO|UPDATE) "assent"\.mark (?!.*PREPARE TRANSACTION)/s,
  /** What must be true of a COMMIT whose claim went along with BEGIN, asked before the votes. */
  secure:
    /^SET CONSTRAINTS(?!.*((INSERT INTO|UPDATE) "assent"\.mark|;COMMIT$)).*synchronous_commit/s,
  /** Whether the transaction outlived the message before, asked before the votes. */
  'prove-again': /^SET LOCAL client_min_messages = warning$/,
  vote: /^SET CONSTRAINTS.*PREPARE TRANSACTION/s,
  /** Reading an epoch ends with a COMMIT too; it is no message of a transaction. */
  decide: /^((SET CONSTRAINTS|SET LOCAL client_min_messages).*;)?COMMIT$/s,
  apply: /^COMMIT PREPARED/,
} as const

export type MessageKind = keyof typeof KINDS

export function kindOfMessage({ statements }: FrontendMessage): MessageKind | undefined {
  const text = statements.map(({ sql }) => sql).join(';')
  return (Object.keys(KINDS) as MessageKind[]).find((kind) => KINDS[kind].test(text))
}
