/**
 * Owns: what is in each database of the bank before the first transfer.
 */
export const ACCOUNTS = 1_000
export const OPENING_BALANCE = 100
