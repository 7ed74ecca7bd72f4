/**
 * The options that both drivers' participants take.
 */
import { AssentError } from '../../protocol/index.ts'
import type { MysqlOptions } from './participant.ts'

/** @throws AssentError `ASSENT_OPTION` */
export function checkOptions(
  caller: string,
  options: MysqlOptions,
  known: readonly string[],
): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    throw refusal(
      `${caller} was given the unknown option ${JSON.stringify(name)}. Known: ${known.join(', ')}.`,
    )
  }
  const { schema } = options
  if (schema !== undefined && !/^[A-Za-z0-9_]{1,64}$/.test(schema)) {
    throw refusal(
      `${caller} was given a \`schema\` that is no name of 1 to 64 letters, digits and _.`,
    )
  }
  const statements: unknown = options.statements
  if (statements !== undefined && statements !== 'joined' && statements !== 'single') {
    throw refusal(
      `${caller} was given \`statements: ${JSON.stringify(statements)}\`. Expected 'joined' or 'single'.`,
    )
  }
  const failover: unknown = options.failover
  if (failover !== undefined && failover !== 'lossless' && failover !== 'lossy') {
    throw refusal(
      `${caller} was given \`failover: ${JSON.stringify(failover)}\`. Expected 'lossless' or 'lossy'.`,
    )
  }
}

export function refusal(message: string): AssentError {
  return new AssentError({ code: 'ASSENT_OPTION', outcome: 'aborted', message })
}
