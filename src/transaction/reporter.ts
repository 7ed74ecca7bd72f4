/**
 * Who is told of a report: the listener that was given, whoever listens to channels, and this process.
 *
 * Promises: a listener that throws breaks nothing; what a person must look at is never silent.
 */
import type { Tracing } from '../ports/index.ts'
import { eventOf, warnOf } from '../engine/index.ts'
import type { Report } from '../engine/index.ts'

export function reporter(
  app: string,
  tracing: Tracing,
  listener: ((report: Report) => unknown) | undefined,
): (report: Report) => void {
  return (report) => {
    tracing.tell(report.type, () => eventOf(app, report))
    if (listener === undefined) {
      const text = warnOf(report)
      if (text !== undefined) process.emitWarning(text, { code: 'ASSENT_REPORT' })
      return
    }
    try {
      // An async function fits the type.
      const answer = listener(report)
      void Promise.resolve(answer).catch(warnOfListener)
    } catch (error) {
      warnOfListener(error)
    }
  }
}

function warnOfListener(error: unknown): void {
  // Not of whatever was thrown: text can be made of an error, and not of everything.
  const why = error instanceof Error ? error.message : typeof error
  process.emitWarning(`Assent: onReport failed: ${why}`, { code: 'ASSENT_REPORT' })
}
