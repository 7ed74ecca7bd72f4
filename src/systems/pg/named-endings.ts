/**
 * Whether a function could end a transaction unseen, on one physical connection.
 *
 * A statement that was parsed under a name can be run by any function of the database, with `EXECUTE
 * 'EXECUTE name'`; if it is a COMMIT, no tag tells of it (decision 2). SQL's own PREPARE takes none
 * that ends a transaction, so such a name comes through the driver: from `client.query({ name, text })`
 * of whoever else uses the pool.
 *
 * Owns: watching the names that the driver has parsed.
 * Promises: says `none` only if nothing that ends, begins or undoes was given a name here, by the
 * driver's own books and by what it has sent since.
 * Never: sees Assent's own COMMIT, which has a name too: a function that runs that one does so on purpose.
 */
import type { PgConnection } from './driver.ts'
import { effectsOf } from './statements.ts'

interface Parse {
  readonly name?: unknown
  readonly text?: unknown
}

export class NamedEndings {
  #found: 'none' | 'maybe' = 'none'

  static of(connection: PgConnection): NamedEndings {
    const endings = new NamedEndings()
    const { parsedStatements, submittedNamedStatements, parse } = connection
    if (typeof parsedStatements !== 'object') endings.#found = 'maybe'
    for (const texts of [parsedStatements, submittedNamedStatements]) {
      for (const text of Object.values(texts ?? {})) endings.#note(text)
    }
    if (typeof parse !== 'function') return endings
    const original = parse as (...args: unknown[]) => unknown
    connection.parse = function (this: unknown, ...args: [Parse, ...unknown[]]): unknown {
      const [{ name, text }] = args
      if (name !== undefined && name !== '') endings.#note(text)
      return original.apply(this, args)
    }
    return endings
  }

  get found(): 'none' | 'maybe' {
    return this.#found
  }

  #note(text: unknown): void {
    const isHarmless =
      typeof text === 'string' &&
      effectsOf(text).every(({ effect }) => effect !== 'control' && effect !== 'rollback-to')
    if (!isHarmless) this.#found = 'maybe'
  }
}
