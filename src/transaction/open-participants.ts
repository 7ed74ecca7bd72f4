/**
 * What `createAssent` is given, its checks, and the participants that it opens.
 *
 * Owns: the names of the settings; that a wrong one is refused before anything is opened.
 * Promises: synchronous, touches no network, starts nothing in the background: the command line opens
 * participants by this, too.
 */
import { AssentError, checkName, checkNamesFit } from '../protocol/index.ts'
import type { Participant, ParticipantDefinition, World } from '../ports/index.ts'
import { LIMITS } from '../engine/index.ts'
import type { Report } from '../engine/index.ts'
import { between, checkOptions, quote, typeOf, wrong } from './options.ts'
import type { TransactionDefaults, TransactionOptions } from './options.ts'

export type Definitions = Readonly<Record<string, ParticipantDefinition<unknown>>>

/** What `createAssent` is given: names, databases, and defaults for every transaction. */
export interface AssentSetting<D extends Definitions> extends TransactionDefaults<
  keyof D & string
> {
  /** Processes of one app recover each other's transactions. Letters, digits, `_`, `-`. */
  readonly app: string
  /** The databases, by the names that transactions use. */
  readonly participants: D
  /**
   * How long a transaction that is over can still be asked for, and a branch that comes back can
   * still end by itself, in milliseconds. Default: 86,400,000 (a day); at least 10,000. Of several
   * processes, the shortest counts.
   */
  readonly retentionMs?: number
  /**
   * Told of what happens in the background. Without it, what a person must look at becomes a
   * process warning.
   */
  readonly onReport?: (report: Report) => void
}

const SETTINGS: readonly string[] = [
  'app',
  'participants',
  'onReport',
  'retentionMs',
  'timeoutMs',
  'branchIsolation',
  'retry',
  'resolveWhen',
  'decider',
  'receipt',
]

/** @throws AssentError `ASSENT_OPTION`, `ASSENT_NAME`, `ASSENT_SAME_DATABASE`, `ASSENT_UNKNOWN_PARTICIPANT` */
export function openParticipants(
  setting: AssentSetting<Definitions>,
  world: World,
): ReadonlyMap<string, Participant> {
  checkSetting(setting)
  const { app, participants } = setting
  checkName('app', app)
  const names = Object.keys(participants)
  for (const name of names) checkName('participant', name)
  checkNamesFit(app, names)
  const retentionMs = setting.retentionMs ?? LIMITS.retentionMs
  between('retentionMs', retentionMs, LIMITS.shortestRetentionMs, LIMITS.longestRetentionMs)
  checkOptions({}, defaultsOf(setting), names, retentionMs)
  const opened = new Map<string, Participant>()
  const identities = new Map<object, string>()
  for (const [name, definition] of Object.entries(participants)) {
    const twin = identities.get(definition.identity)
    if (twin !== undefined) {
      throw new AssentError({
        code: 'ASSENT_SAME_DATABASE',
        outcome: 'aborted',
        message:
          `${twin} and ${name} were given the same pool. Configure a database once; one branch ` +
          `can use all of its schemas.`,
      })
    }
    identities.set(definition.identity, name)
    opened.set(name, definition.open({ app, name, world, retentionMs }))
  }
  return opened
}

function checkSetting(setting: AssentSetting<Definitions>): void {
  const given: unknown = setting
  if (typeof given !== 'object' || given === null) {
    throw wrong(`createAssent() ${typeOf(given)}`, 'an object with `app` and `participants`')
  }
  for (const name of Object.keys(given)) {
    if (!SETTINGS.includes(name)) {
      throw wrong(`the setting ${quote(name)}`, `one of ${SETTINGS.join(', ')}`)
    }
  }
  const { app, participants } = given as Partial<Record<string, unknown>>
  if (typeof app !== 'string') throw wrong(`app ${typeOf(app)}`, 'a name')
  if (typeof participants !== 'object' || participants === null) {
    throw wrong(`participants ${typeOf(participants)}`, 'an object of participants by name')
  }
  for (const [name, definition] of Object.entries(participants)) {
    if (
      typeof (definition as Partial<ParticipantDefinition<unknown>> | null)?.open === 'function'
    ) {
      continue
    }
    throw wrong(`participant ${name} ${typeOf(definition)}`, 'what pg(pool) returns')
  }
}

function defaultsOf(setting: AssentSetting<Definitions>): TransactionOptions {
  const { app: _1, participants: _2, onReport: _3, retentionMs: _4, ...defaults } = setting
  return defaults
}
