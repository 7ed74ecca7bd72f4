/**
 * Whether a function could end a transaction unseen, on one physical connection.
 *
 * A statement that was parsed under a name can be run by any function of the database, with `EXECUTE
 * 'EXECUTE name'`; if it is a COMMIT, no tag tells of it (decision 2). SQL's own PREPARE takes none
 * that ends a transaction, so such a name comes through a driver: from `client.query({ name, text })`
 * of whoever else uses the pool, or had the session before.
 *
 * Owns: what is known of the session's names.
 * Promises: says `none` only once the session's own list of names was read, and nothing that ends,
 * begins or undoes was on it, nor was given a name since. Behind a pooler the list is never read: the
 * next transaction meets another session.
 * Never: counts Assent's own COMMIT, which has a name too: a function that runs that one does so on
 * purpose.
 */
import type { PgConnection } from './driver.ts'
import { isHarmless } from './statements.ts'

/** A JSON list of texts, of a session's names that are not Assent's own (see `Wire`); NULL if there is none. */
export const NAMED_TEXTS = `(SELECT pg_catalog.json_agg(named.statement)::pg_catalog.text
  FROM pg_catalog.pg_prepared_statements AS named
  WHERE NOT named.from_sql AND named.name OPERATOR(pg_catalog.!~) '^assent_[A-Za-z0-9_-]{22}$')`

interface Parse {
  readonly name?: unknown
  readonly text?: unknown
}

export class NamedEndings {
  #list: 'unread' | 'read' = 'unread'
  #known: 'none' | 'maybe' = 'none'

  static of(connection: PgConnection): NamedEndings {
    const endings = new NamedEndings()
    const { parse } = connection
    if (typeof parse !== 'function') {
      endings.#known = 'maybe'
      return endings
    }
    const original = parse as (...args: unknown[]) => unknown
    connection.parse = function (this: unknown, ...args: [Parse, ...unknown[]]): unknown {
      const [{ name, text }] = args
      if (name !== undefined && name !== null && name !== '') endings.#note(text)
      return original.apply(this, args)
    }
    return endings
  }

  get found(): 'none' | 'maybe' {
    return this.#list === 'read' ? this.#known : 'maybe'
  }

  /** `texts`: what `NAMED_TEXTS` was answered with. */
  read(texts: string | null | undefined): void {
    this.#list = 'read'
    for (const text of JSON.parse(texts ?? '[]') as readonly unknown[]) this.#note(text)
  }

  #note(text: unknown): void {
    if (this.#known === 'maybe') return
    if (typeof text !== 'string' || !isHarmless(text)) this.#known = 'maybe'
  }
}
