/**
 * What passes to the connection of one branch while the user's function runs.
 *
 * Owns: which statements are refused before they are sent, and what is known of those that were sent.
 * Promises: what begins, ends or commits a transaction is refused with advice; a statement that undid
 * the branch's whole work, and whose error was swallowed, is known.
 * Never: changes a statement, a result or an error of the user's.
 *
 * XA is the line of defence: until XA END the server refuses whatever would end the transaction (1399),
 * and XA END succeeds only if it is still the one that was begun.
 */
import { AssentError } from '../../protocol/index.ts'
import type { BranchFault } from '../../ports/index.ts'
import { usedTooLate } from '../common/late-use.ts'
import { undoesAll } from './answers.ts'
import { isServerError, wordsOf } from './driver.ts'
import { controlIn } from './statements.ts'

type Course =
  | { readonly kind: 'inside' }
  /** All of the branch's work is undone. */
  | { readonly kind: 'undone'; readonly error: Error }
  | { readonly kind: 'lost'; readonly error: unknown }

export class Guard {
  readonly #name: string
  #course: Course = { kind: 'inside' }
  #usable: 'open' | 'sealed' = 'open'
  #onLateUse = (): void => undefined
  #underWay = 0
  #quiet: PromiseWithResolvers<undefined> | undefined

  constructor(name: string) {
    this.#name = name
  }

  /**
   * Runs a statement of the user's.
   *
   * @throws AssentError `ASSENT_TRANSACTION_CONTROL`, `ASSENT_BRANCH_ENDED`
   */
  async run<T>(query: unknown, send: () => Promise<T>): Promise<T> {
    this.#check(query)
    this.#underWay += 1
    try {
      return await send()
    } catch (error) {
      this.#learn(error)
      throw error
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) {
        this.#quiet?.resolve(undefined)
        this.#quiet = undefined
      }
    }
  }

  #check(query: unknown): void {
    if (this.#usable === 'sealed') {
      this.#onLateUse()
      throw usedTooLate(this.#name)
    }
    const control = controlIn(textOf(query))
    if (control === undefined) return
    throw new AssentError({
      code: 'ASSENT_TRANSACTION_CONTROL',
      outcome: 'aborted',
      message:
        control.kind === 'control'
          ? `${control.words} on ${this.#name} was refused: transaction() begins and ends the ` +
            `transaction. Use SAVEPOINT and ROLLBACK TO inside it.`
          : `${control.words} on ${this.#name} was refused: MySQL and MariaDB commit the ` +
            `transaction with it. Run it outside of transaction().`,
    })
  }

  #learn(error: unknown): void {
    if (this.#course.kind !== 'inside') return
    if (!isServerError(error)) {
      if (isFatal(error)) this.#course = { kind: 'lost', error }
    } else if (undoesAll(error)) this.#course = { kind: 'undone', error }
  }

  isQuiet(): boolean {
    return this.#underWay === 0
  }

  /** Waits until every statement that was begun has been answered. Never rejects. */
  async drain(): Promise<void> {
    while (this.#underWay > 0) {
      this.#quiet ??= Promise.withResolvers<undefined>()
      await this.#quiet.promise
    }
  }

  seal(onLateUse = (): void => undefined): void {
    this.#usable = 'sealed'
    this.#onLateUse = onLateUse
  }

  fault(): BranchFault | undefined {
    switch (this.#course.kind) {
      case 'inside':
        return undefined
      case 'undone':
        return {
          code: 'ASSENT_SWALLOWED_ERROR',
          outcome: 'aborted',
          message:
            `A statement on ${this.#name} failed (${wordsOf(this.#course.error)}), its error was ` +
            `caught, and the transaction went on. The server has undone all of its work there. ` +
            `Rethrow such errors`,
          cause: this.#course.error,
        }
      case 'lost':
        return {
          code: 'ASSENT_UNCLEAR',
          outcome: 'aborted',
          message: `The connection to ${this.#name} was lost before anything was committed`,
          cause: this.#course.error,
        }
    }
  }
}

/** Both drivers say so of errors behind which the connection can't be used any more. */
function isFatal(error: unknown): boolean {
  return error instanceof Error && 'fatal' in error && error.fatal === true
}

/** The statement's text, of whatever the drivers accept. */
function textOf(query: unknown): string {
  if (typeof query === 'string') return query
  if (typeof query !== 'object' || query === null || !('sql' in query)) return ''
  return typeof query.sql === 'string' ? query.sql : ''
}
