/**
 * Telling of transactions by `node:diagnostics_channel`.
 *
 * Owns: the names of the channels, and when something is published to them.
 * Promises: a listener that throws is Node's affair (`uncaughtException`), never a transaction's;
 * what runs inside a span runs with what listeners have bound to its start (AsyncLocalStorage).
 * Never: asks more than whether anybody listens, while nobody does.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { TracingChannel } from 'node:diagnostics_channel'
import type { Settled, SpanName, Spans, Tracer, Tracing } from '../ports/index.ts'

const OF_TRANSACTION = ['app', 'txid'] as const
const OF_MESSAGE = [...OF_TRANSACTION, 'participant', 'answer', 'errorCode'] as const

/** What each span carries, in the order of a transaction's life. Each is a TracingChannel. */
export const SPAN_FIELDS = {
  transaction: [...OF_TRANSACTION, 'attempt', 'protocol', 'outcome', 'errorCode'],
  join: [...OF_TRANSACTION, 'participant', 'access', 'errorCode'],
  claim: OF_MESSAGE,
  'commit-reader': OF_MESSAGE,
  vote: OF_MESSAGE,
  decide: OF_MESSAGE,
  ask: OF_MESSAGE,
  apply: OF_MESSAGE,
  undo: OF_MESSAGE,
  'recovery-round': [...OF_TRANSACTION, 'participant', 'register', 'verdict', 'errorCode'],
} as const satisfies { readonly [Name in SpanName]: readonly (keyof Spans[Name])[] }

export const SPAN_NAMES = Object.keys(SPAN_FIELDS) as readonly SpanName[]

/** Kept here: Node holds a channel that has no listener only weakly. */
const spans = Object.fromEntries(
  SPAN_NAMES.map((name) => [name, tracingChannel(`assent:${name}`)]),
) as Record<SpanName, TracingChannel<unknown, object>>
const all: readonly TracingChannel<unknown, object>[] = Object.values(spans)

export const nodeTracing: Tracing = {
  get tracer(): Tracer | undefined {
    for (const each of all) if (each.hasSubscribers) return tracer
    return undefined
  },
  tell(event, payload) {
    const plain = channel(`assent:${event}`)
    if (plain.hasSubscribers) plain.publish(payload())
  },
}

const tracer: Tracer = { trace }

/** As `tracePromise` does it, but that no result and no error of anybody's is put into the context. */
function trace<Name extends SpanName, T>(
  name: Name,
  context: Spans[Name],
  work: () => Promise<T>,
  learn: (context: Spans[Name], settled: Settled<T>) => void,
): Promise<T> {
  const span = spans[name]
  if (!span.hasSubscribers) return work()
  return span.start.runStores(context, () => {
    const running = work()
    span.end.publish(context)
    const settle = (settled: Settled<T>): void => {
      try {
        learn(context, settled)
      } catch {
        // A subscriber has the context, and may have frozen it: what became of the work is not his to change.
      }
      if (settled.kind === 'rejected') span.error.publish(context)
      span.asyncStart.publish(context)
      span.asyncEnd.publish(context)
    }
    return running.then(
      (value) => {
        settle({ kind: 'resolved', value })
        return value
      },
      (error: unknown) => {
        settle({ kind: 'rejected', error })
        throw error
      },
    )
  })
}
