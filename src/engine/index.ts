/**
 * The only interpreter of the protocol. In reading order.
 */
export * from './run.ts'
export * from './commit.ts'
export * from './interpret.ts'
export * from './recover.ts'
export * from './scan.ts'
export * from './forget.ts'
export * from './traced.ts'
export * from './outcome-error.ts'
export * from './warmth.ts'
export * from './over.ts'
export * from './unless-aborted.ts'
export * from './reports.ts'
export * from './report-events.ts'
export * from './backoff.ts'
export * from './limits.ts'
