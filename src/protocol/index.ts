/**
 * The protocol, pure: state machines, ids, answers and errors. Read in this order.
 */
export * from './plan.ts'
export * from './ordering.ts'
export * as twoPhase from './two-phase.ts'
export * as onePhase from './one-phase.ts'
export * as recovery from './recovery.ts'
export * as forgetting from './forgetting.ts'
export * as witness from './witness.ts'
export * from './answers.ts'
export * from './resolution.ts'
export * from './id.ts'
export * from './errors.ts'
