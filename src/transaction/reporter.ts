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
  listener: ((report: Report) => void) | undefined,
): (report: Report) => void {
  return (report) => {
    tracing.tell(report.type, () => eventOf(app, report))
    if (listener === undefined) {
      const text = warnOf(report)
      if (text !== undefined) process.emitWarning(text, { code: 'ASSENT_REPORT' })
      return
    }
    try {
      listener(report)
    } catch (error) {
      process.emitWarning(`Assent: onReport failed: ${String(error)}`, { code: 'ASSENT_REPORT' })
    }
  }
}
