/**
 * Listening to every channel of Assent's, as long as a test runs.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { onTestFinished } from 'vitest'
import { REPORT_FIELDS } from '../../src/engine/report-events.ts'
import { SPAN_NAMES } from '../../src/platform/channels.ts'

export interface Heard {
  /** `vote start`, `vote end`, `vote asyncEnd`, …; the name alone for an event. */
  readonly what: string
  /** As it is at the end: it is filled in while the span lasts. */
  readonly says: Readonly<Record<string, unknown>>
}

/** What is heard of `app`: other tests of this process may run at the same time. */
export function listen(app: string): readonly Heard[] {
  const heard: Heard[] = []
  const on = (channel: string, what: string): void => {
    const hear = (message: unknown): void => {
      const says = message as Heard['says']
      if (says['app'] === app) heard.push({ what, says })
    }
    subscribe(channel, hear)
    onTestFinished(() => void unsubscribe(channel, hear))
  }
  for (const name of SPAN_NAMES) {
    for (const phase of ['start', 'end', 'asyncStart', 'asyncEnd', 'error']) {
      on(`tracing:assent:${name}:${phase}`, `${name} ${phase}`)
    }
  }
  for (const type of Object.keys(REPORT_FIELDS)) on(`assent:${type}`, type)
  return heard
}
