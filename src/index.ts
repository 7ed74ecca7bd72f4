/**
 * Assent: one `transaction()` over several databases, which ends the same way everywhere.
 */
export { createAssent } from './transaction/create-assent.ts'
export { defineConfig } from './transaction/define-config.ts'
export type { Assent, HandlesOf } from './transaction/create-assent.ts'
export type { AssentSetting } from './transaction/create-assent.ts'
export type { Transaction } from './transaction/transaction.ts'
export type { TransactionDefaults, TransactionOptions } from './transaction/options.ts'
export type { OutcomeAnswer, OutcomeOptions, UnknownReason } from './transaction/outcome.ts'
export type { Health, ParticipantHealth } from './seeing/health.ts'
export type { InDoubt, InDoubtReason, Report } from './engine/reports.ts'
export type { ReportEvent } from './engine/report-events.ts'
export type { Isolation, ParticipantDefinition, Spans } from './ports/index.ts'
export { AssentError, ERROR_CODES } from './protocol/errors.ts'
export type { ErrorCode, Outcome } from './protocol/errors.ts'
export type { OnePhasePlan, Plan, TwoPhasePlan } from './protocol/plan.ts'
