/**
 * The connection of one branch while the user's function runs.
 *
 * Owns: BEGIN, which travels with the first statement where it can, the claim that may travel with
 * both, and the order of statements around them.
 * Promises: no statement is sent before BEGIN was answered, but for the one that travels behind it
 * under the same Sync. A pooled connection that turns out to be dead at BEGIN is replaced, and the
 * statement is sent again on another one: whatever the first had begun is rolled back.
 * Never: sends anything of the commit path.
 */
import type { AssentError } from '../../protocol/index.ts'
import type { BranchFault, JoinRequest, Mark, World } from '../../ports/index.ts'
import { beginAlone, beginStatements } from './begin.ts'
import type { Begun } from './begin.ts'
import { beginWith, canFollowClaim, canTravel } from './begin-with.ts'
import { connectError } from './connect-errors.ts'
import type { PgQueryClass } from './driver.ts'
import type { Lent } from './lending.ts'
import { claimFirst } from './mark.ts'
import type { FirstClaim } from './mark.ts'
import type { SchemaNames } from './schema.ts'
import { tagCount } from './wire.ts'
import type { Statement } from './wire.ts'

/** What the sessions of one participant have in common. */
export interface SessionFacts {
  readonly name: string
  readonly names: SchemaNames
  readonly world: World
  /** The pool's own; undefined when its clients hide it. */
  readonly queryClass: () => PgQueryClass | undefined
  /** Takes a connection. @throws AssentError */
  readonly lend: (request: JoinRequest) => Promise<Lent>
  /** Whether a claim may go along with a first statement. */
  readonly mayClaimFirst: () => boolean
  /** BEGIN failed with a claim behind it, or the claim found no epoch. */
  readonly onClaimFailed: (how: 'failed' | 'no epoch') => void
}

type Opening =
  /** BEGIN was not sent. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'opening' }
  | { readonly kind: 'open' }
  | { readonly kind: 'failed'; readonly error: AssentError }

/** The first statement, and the promise that its caller has. */
interface First {
  readonly args: readonly unknown[]
  readonly attempt: number
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/** How often BEGIN is tried: pooled connections can be dead without knowing it, all of them. */
const ATTEMPTS = 3
const REPLACED_WITHIN_MS = 1_000

export class BranchSession {
  readonly #facts: SessionFacts
  readonly #request: JoinRequest
  #lent: Lent
  #opening: Opening = { kind: 'closed' }
  /** For those who wait until BEGIN was answered, if anybody does. */
  #opened: PromiseWithResolvers<undefined> | undefined
  /** Statements that wait for BEGIN to be answered. */
  #waiting = 0
  /** `between`: one was given up, and another is awaited. */
  #holding: 'held' | 'between' | 'ended' = 'held'
  #claimed: FirstClaim | undefined
  #isCut = false
  #onLend: ((lent: Lent) => void) | undefined

  constructor(facts: SessionFacts, request: JoinRequest, lent: Lent) {
    this.#facts = facts
    this.#request = request
    this.#lent = lent
  }

  get lent(): Lent {
    return this.#lent
  }

  /** The claim that was acknowledged together with the first statement. */
  get claimed(): FirstClaim | undefined {
    return this.#claimed
  }

  /** Whether there can be anything to roll back. */
  get isUntouched(): boolean {
    return this.#opening.kind === 'closed'
  }

  /** Told of the connection, and of each that replaces it. */
  onLend(listener: (lent: Lent) => void): void {
    this.#onLend = listener
    listener(this.#lent)
  }

  /** `client.query`, in all its forms. */
  query(args: readonly unknown[]): unknown {
    this.#lent.guard.check(args[0])
    return this.#send(args)
  }

  #send(args: readonly unknown[]): unknown {
    switch (this.#opening.kind) {
      case 'open':
        return this.#lent.guard.query(args)
      case 'closed':
        return this.#begin(args)
      case 'opening':
        return this.#afterwards(args)
      case 'failed':
        throw this.#opening.error
    }
  }

  /** Whether BEGIN was answered. */
  get isOpen(): boolean {
    return this.#opening.kind === 'open'
  }

  /** Makes sure that BEGIN was answered. Resolves with why it could not be. */
  async ensureOpen(): Promise<AssentError | undefined> {
    if (this.#opening.kind === 'closed') void this.#openAlone()
    return this.settled()
  }

  /** Waits until BEGIN, if it was sent, was answered. Resolves with why it could not be. */
  async settled(): Promise<AssentError | undefined> {
    if (this.#opening.kind === 'opening') await this.#whenOpened()
    return this.#failure()
  }

  isQuiet(): boolean {
    return this.#opening.kind !== 'opening' && this.#waiting === 0 && this.#lent.guard.isQuiet()
  }

  /** Waits until every statement that was begun has been answered. Never rejects. */
  async drain(): Promise<void> {
    while (!this.isQuiet()) {
      await this.settled()
      await this.#lent.guard.drain()
    }
  }

  fault(): BranchFault | undefined {
    if (this.#opening.kind !== 'failed') return this.#lent.guard.fault()
    const { error } = this.#opening
    return {
      code: 'ASSENT_UNCLEAR',
      outcome: 'aborted',
      message: `${this.#facts.name} could not begin its branch: ${error.message}`,
      cause: error.cause,
    }
  }

  /** Gives the connection up. Idempotent. */
  release(how: 'return' | 'destroy'): void {
    // The driver may not have noticed yet, and its pool would take it back.
    if (this.#holding === 'held') this.#giveBack(this.#isCut ? 'destroy' : how)
    this.#holding = 'ended'
  }

  #giveBack(how: 'return' | 'destroy'): void {
    this.#lent.guard.stop()
    this.#lent.release(how)
  }

  cut(): void {
    // Once given back it may be another transaction's.
    if (this.#holding !== 'held') return
    this.#isCut = true
    this.#lent.client.connection.stream.destroy()
  }

  // --- beginning ------------------------------------------------------------------------------

  /** The first statement: behind BEGIN in one message, or after BEGIN was answered. */
  #begin(args: readonly unknown[]): unknown {
    const Query = this.#facts.queryClass()
    if (Query === undefined || !canTravel(args)) {
      void this.#openAlone()
      return this.#afterwards(args)
    }
    this.#opening = { kind: 'opening' }
    return new Promise((resolve, reject) => {
      this.#travel(Query, { args, attempt: 1, resolve, reject })
    })
  }

  #travel(Query: PgQueryClass, first: First): void {
    const { guard, client } = this.#lent
    const { args, attempt } = first
    // Only once: if a claim is why BEGIN failed, the next goes without.
    const mark = attempt === 1 ? this.#firstClaim(args) : undefined
    const isWatched = mark !== undefined && guard.endings === 'maybe'
    const statements = this.#statements(isWatched ? 'watched' : 'not watched')
    const claim = mark === undefined ? undefined : claimFirst(this.#facts.names, mark)
    const ownTags = tagCount(statements) + (claim === undefined ? 0 : 1)
    const sentAt = this.#facts.world.now()
    let result: (() => void) | undefined
    // The statement's own failure is the user's once it is known that the transaction began.
    let isOwn = false
    const own = (): void => {
      isOwn = true
      result?.()
    }
    const onResult = (error: Error | null, value: unknown): void => {
      result = () => {
        if (error === null) first.resolve(value)
        else first.reject(error)
      }
      if (isOwn) result()
    }
    const onBegun = (answer: Begun): void => {
      // Whatever wraps the driver has thrown, after all was sent.
      if (this.#opening.kind === 'failed') return
      if (mark !== undefined) this.#learnClaim(mark, answer)
      if (answer.kind === 'begun') {
        this.#settle({ kind: 'open' })
        own()
      } else void this.#notBegun(answer, sentAt, Query, first, own)
    }
    try {
      guard.begin(ownTags, args[0], () => {
        beginWith(client, Query, { statements, claim }, args, { onResult, onBegun })
      })
    } catch (error) {
      this.#fail(error, first)
    }
  }

  /** There may be another connection to try. Never rejects. */
  async #notBegun(
    answer: Exclude<Begun, { kind: 'begun' }>,
    sentAt: number,
    Query: PgQueryClass,
    first: First,
    own: () => void,
  ): Promise<void> {
    try {
      // The connection is still busy with the answer.
      await Promise.resolve()
      // Whatever wraps the driver has thrown as well.
      if (this.#opening.kind === 'failed') return
      if (await this.#isToBeTriedAgain(answer, first.attempt, sentAt)) {
        this.#travel(Query, { ...first, attempt: first.attempt + 1 })
        return
      }
      if (answer.kind === 'unwritten') {
        own()
        // Nothing of it counts: as if the statement had never been given.
        await this.#lendAnother()
        this.#settle({ kind: 'closed' })
        return
      }
      if (answer.kind === 'unanswered') own()
      this.#fail(answer.cause, first)
    } catch (error) {
      this.#fail(error, first)
    }
  }

  #fail(cause: unknown, first: First): void {
    const error = connectError(this.#facts.name, cause)
    this.#settle({ kind: 'failed', error })
    first.reject(error)
  }

  /**
   * The mark to claim along with the first statement. On a session of our own as it was when it
   * connected: its role may write our tables.
   */
  #firstClaim(args: readonly unknown[]): Mark | undefined {
    const isPlain = this.#lent.connection.session === 'plain'
    if (!isPlain || !canFollowClaim(args) || !this.#facts.mayClaimFirst()) return undefined
    return this.#request.firstClaim()
  }

  #learnClaim(mark: Mark, answer: Begun): void {
    if (answer.kind === 'failed') this.#facts.onClaimFailed('failed')
    if (answer.kind !== 'begun') return
    if (answer.ctid === undefined) this.#facts.onClaimFailed('no epoch')
    else this.#claimed = { mark, ctid: answer.ctid }
  }

  async #beginAlone(): Promise<Begun> {
    for (let attempt = 1; ; attempt += 1) {
      const { guard, client } = this.#lent
      const statements = this.#statements('not watched')
      const sentAt = this.#facts.world.now()
      const answer = await guard.begin(tagCount(statements), undefined, () =>
        beginAlone(client, statements),
      )
      if (!(await this.#isToBeTriedAgain(answer, attempt, sentAt))) return answer
    }
  }

  #statements(watch: 'watched' | 'not watched'): readonly Statement[] {
    return beginStatements(this.#request, this.#lent.connection, watch)
  }

  /** BEGIN by itself. Never rejects. */
  async #openAlone(): Promise<void> {
    this.#opening = { kind: 'opening' }
    try {
      const begun = await this.#beginAlone()
      if (begun.kind === 'begun') this.#settle({ kind: 'open' })
      else if (begun.kind === 'unwritten') throw new Error('BEGIN was not written')
      else throw begun.cause
    } catch (error) {
      this.#settle({ kind: 'failed', error: connectError(this.#facts.name, error) })
    }
  }

  #settle(opening: Opening): void {
    this.#opening = opening
    this.#opened?.resolve(undefined)
    this.#opened = undefined
  }

  #whenOpened(): Promise<undefined> {
    this.#opened ??= Promise.withResolvers<undefined>()
    return this.#opened.promise
  }

  /** Whether there is another connection to try; takes it. */
  async #isToBeTriedAgain(begun: Begun, attempt: number, sentAt: number): Promise<boolean> {
    const isOver = attempt >= ATTEMPTS || this.#request.waiting.isOver
    const isWorthwhile = begun.kind === 'lost' || begun.kind === 'failed'
    // A connection that was dead already shows it at once. One that breaks later may have been at
    // work on the statement, which should not be done twice without need.
    const isLate = this.#facts.world.now() - sentAt > REPLACED_WITHIN_MS
    if (!isWorthwhile || isOver || isLate || this.#holding !== 'held') return false
    await this.#lendAnother()
    return true
  }

  async #lendAnother(): Promise<void> {
    if (this.#holding === 'held') this.#giveBack('destroy')
    this.#holding = 'between'
    const lent = await this.#facts.lend(this.#request)
    if (this.#hasEnded()) {
      lent.guard.stop()
      lent.release('return')
      throw new Error('the branch has ended')
    }
    this.#lent = lent
    this.#holding = 'held'
    this.#onLend?.(lent)
  }

  async #afterwards(args: readonly unknown[]): Promise<unknown> {
    this.#waiting += 1
    await this.#whenOpened()
    this.#waiting -= 1
    // The transaction may not have begun, but been left unwritten: then one of those that waited
    // is the first, and the others wait for its BEGIN.
    return this.#send(args)
  }

  #failure(): AssentError | undefined {
    return this.#opening.kind === 'failed' ? this.#opening.error : undefined
  }

  /** A call, so that it is read anew each time. */
  #hasEnded(): boolean {
    return this.#holding === 'ended'
  }
}
