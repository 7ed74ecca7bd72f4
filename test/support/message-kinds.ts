/**
 * The messages of the commit path, told by their SQL.
 */
import type { FrontendMessage } from '../../harness/wire-frames.ts'

const KINDS = {
  claim: /INSERT INTO "assent"\.mark(?!.*PREPARE TRANSACTION)(?!.*ON CONFLICT)/s,
  vote: /PREPARE TRANSACTION/,
  decide: /(^|;)COMMIT$/,
  apply: /^COMMIT PREPARED/,
} as const

export type MessageKind = keyof typeof KINDS

export function kindOfMessage({ statements }: FrontendMessage): MessageKind | undefined {
  const text = statements.map(({ sql }) => sql).join(';')
  // Reading an epoch ends with a COMMIT too; it is no message of a transaction.
  if (/^BEGIN/.test(text)) return undefined
  return (Object.keys(KINDS) as MessageKind[]).find((kind) => KINDS[kind].test(text))
}
