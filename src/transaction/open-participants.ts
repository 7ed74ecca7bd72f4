/**
 * What `createAssent` is given, checked, and its participants opened.
 *
 * Promises: what is wrong is refused before anything is begun, with what was given and what is
 * expected.
 */
import { AssentError, checkName, checkNamesFit } from '../protocol/index.ts'
import type { Participant, ParticipantDefinition, World } from '../ports/index.ts'
import { LIMITS } from '../engine/index.ts'
import type { AssentSetting, Definitions } from './create-assent.ts'
import { between, checkOptions, quote, typeOf, wrong } from './options.ts'
import type { TransactionOptions } from './options.ts'

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

/** @throws AssentError, as `createAssent` */
export function openParticipants(
  setting: AssentSetting<Definitions>,
  world: World,
  onPoolWait: (participant: string, waitedMs: number) => void,
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
    const waited = (ms: number): void => {
      onPoolWait(name, ms)
    }
    opened.set(name, definition.open({ app, name, world, retentionMs, onPoolWait: waited }))
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
