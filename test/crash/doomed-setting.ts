/**
 * Owns: what a test tells the process that is to die, and the words that this process writes down.
 */
import type { System } from './crash-database.ts'
import type { CrashPoint } from './crash-points.ts'

/** The application whose processes recover each other. */
export const APP = 'crash'
/** Running one transaction, or recovering what others have left behind. */
export type Task = 'transfer' | 'recover'

/** The variable of the environment that carries the setting, as JSON. */
export const SETTING = 'ASSENT_DOOMED'

export interface DoomedSetting {
  /** What it does once it is told to go. */
  readonly task: Task
  readonly databases: readonly {
    readonly name: string
    readonly system: System
    /** Through the proxy: for what the task is about. */
    readonly url: string
    /** Past the proxy: for what a transfer's process recovers by the way. */
    readonly directUrl: string
  }[]
  readonly writes: readonly string[]
  readonly reads: readonly string[]
  /** Another decider than the one that Assent chooses by itself. */
  readonly decider: string | undefined
  readonly resolveWhen: 'applied' | 'decided'
  readonly timeoutMs: number
  /** The item that the transaction takes from every database; `<item>-warm-up` comes before it. */
  readonly item: string
  /** Written synchronously: what is in it was known to the process before it died. */
  readonly notesPath: string
  /** Where the process kills itself; the other stages are the proxy's. */
  readonly dieAt: CrashPoint | undefined
}

/** One line of the notes. */
export type Note =
  | { readonly note: 'began'; readonly txid: string }
  | { readonly note: 'answered'; readonly outcome: string; readonly error?: string }
  | { readonly note: 'dies'; readonly at: CrashPoint }
