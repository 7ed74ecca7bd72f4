/**
 * What goes to the server in one message: MariaDB takes several statements as one compound statement,
 * outside of stored programs too; MySQL doesn't.
 *
 * Owns: that compound statement, and whether it is used.
 * Promises: its statements run in this order, and an error ends it before the next. Its answer has the
 * changed rows of all of them together, and any warning of any of them (MariaDB 10.11 and 11.4, tried).
 * Never: joins XA PREPARE, XA COMMIT or XA ROLLBACK to anything: what decides stands alone, so that an
 * answer to it is about nothing else.
 */
import type { Finding } from '../../ports/index.ts'
import { mustChange } from '../common/findings.ts'
import type { ServerFacts } from './server-facts.ts'

/** How statements are sent that follow each other: in one message, or one after the other. */
export type Statements = 'joined' | 'single'

/** The messages that these statements are sent in; each waits for the answer to the one before. */
export function messagesOf(how: Statements, texts: readonly string[]): readonly string[] {
  return how === 'joined' && texts.length > 1 ? [joined(texts)] : texts
}

/** Under any sql_mode; ORACLE takes it too. */
export function joined(texts: readonly string[]): string {
  return `BEGIN NOT ATOMIC ${texts.join('; ')}; END`
}

/** How they are sent to this server, where `asked` has passed `statementsFindings`. */
export function statementsFor(asked: Statements | undefined, { flavour }: ServerFacts): Statements {
  return flavour === 'mysql' ? 'single' : (asked ?? 'joined')
}

/** Whether what was asked for can be had. */
export function statementsFindings(
  asked: Statements | undefined,
  { flavour }: ServerFacts,
): readonly Finding[] {
  if (asked !== 'joined' || flavour === 'mariadb') return []
  return [
    mustChange(
      'ASSENT_OPTION',
      "it was given statements: 'joined', and is MySQL, which takes no compound statement outside of " +
        'stored programs',
      "Leave `statements` out, or say 'single'",
    ),
  ]
}
