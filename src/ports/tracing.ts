/**
 * What an observer may be told of a transaction while it runs.
 *
 * Owns: the names of the spans, what each carries, and how they are asked for.
 * Promises, to be kept by the platform: `tracer` is undefined while nobody listens, so that whoever
 * reads it once for each transaction pays for nothing else; a listener that fails changes nothing.
 * Never: carries SQL, parameter values, errors or gids. An error of a driver has values of the user's
 * in it (the `detail` of PostgreSQL, the `sql` of mysql2); on MariaDB whoever knows a gid can end its
 * branch. The code of an error and the txid are enough.
 */
import type { Answer, AskAnswer, EndAnswer, Outcome } from '../protocol/index.ts'

/** What all spans of a transaction say. */
interface OfTransaction {
  readonly app: string
  /** `tx.id`: what all events of one transaction have in common. */
  readonly txid: string
}

/** One message to one participant. What stands behind `?` is known at its end. */
interface OfMessage extends OfTransaction {
  readonly participant: string
  /** The code of the error that came with it, as the driver or Assent has it; never its text. */
  errorCode?: string | undefined
}

/** Of a message whose answer is yes, no or unknown. */
export interface VoteSpan extends OfMessage {
  answer?: Answer['answer']
}

/** Of a message that ends a branch. */
export interface EndSpan extends OfMessage {
  answer?: EndAnswer['answer']
}

/** One run of the user's function, and its ending: each attempt of `retry` is one of its own. */
export interface TransactionSpan extends OfTransaction {
  /** 1, and more with `retry`. */
  readonly attempt: number
  /** `none`: it ended before the roles were settled. */
  protocol?: 'one-phase' | 'two-phase' | 'none'
  outcome?: Outcome
  errorCode?: string | undefined
}

export interface JoinSpan extends OfMessage {
  readonly access: 'read' | 'write'
}

export interface AskSpan extends OfMessage {
  answer?: AskAnswer['answer']
}

export interface RoundSpan extends OfMessage {
  readonly register: string
  /** How the round ended: `committed`, `rolled-back`, `running`, `held`, … */
  verdict?: string
}

/** Every span, and what it carries. Those of messages are named as in the ordering table. */
export interface Spans {
  transaction: TransactionSpan
  join: JoinSpan
  claim: VoteSpan
  'commit-reader': VoteSpan
  vote: VoteSpan
  decide: VoteSpan
  ask: AskSpan
  apply: EndSpan
  undo: EndSpan
  'recovery-round': RoundSpan
}

export type SpanName = keyof Spans

export type Settled<T> =
  | { readonly kind: 'resolved'; readonly value: T }
  | { readonly kind: 'rejected'; readonly error: unknown }

/** Tells whoever listens. */
export interface Tracer {
  /**
   * Begins a span, runs `work` inside it, and ends it when that has settled. `learn` puts into the
   * context what is known then. Returns what `work` returned.
   */
  trace<Name extends SpanName, T>(
    name: Name,
    context: Spans[Name],
    work: () => Promise<T>,
    learn: (context: Spans[Name], settled: Settled<T>) => void,
  ): Promise<T>
}

export interface Tracing {
  /** Undefined while nobody listens to any span. */
  readonly tracer: Tracer | undefined
  /** Tells of one event that takes no time, if anybody listens to it. */
  tell(event: string, payload: () => object): void
}
