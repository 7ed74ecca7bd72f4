/**
 * What the command line works on: a configuration file, or what its flags say.
 *
 * Owns: where a file is looked for, and the words for one that is not as it should be.
 * Promises: touches no database; a value that could be a secret is never printed.
 */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { Operator } from '../engine/index.ts'
import { nodeWorld } from '../platform/node-world.ts'
import type { ParticipantDefinition } from '../ports/index.ts'
import { AssentError } from '../protocol/index.ts'
import { openParticipants } from '../transaction/open-participants.ts'
import type { AssentSetting, Definitions } from '../transaction/create-assent.ts'
import { CommandError } from './exit-codes.ts'
import { participantOf } from './participants.ts'
import type { UrlParticipant } from './participants.ts'

/** In this order; more than one of them is refused. */
const FILES = ['ts', 'js', 'mjs', 'json'].map((ending) => `assent.config.${ending}`)

/** The flags that every command has. */
export interface ConfigurationFlags {
  readonly config?: string
  readonly app?: string
  readonly participant?: readonly string[]
  readonly schema?: string
}

export interface Configured {
  readonly operator: Operator
  /** As the file says it. */
  readonly decider: string | undefined
}

/** @throws CommandError */
export async function configure(flags: ConfigurationFlags): Promise<Configured> {
  const setting = hasFlags(flags) ? await ofFlags(flags) : await ofFile(fileOf(flags.config))
  return { operator: operatorOf(setting), decider: setting.decider }
}

/** @throws CommandError when a name, or an option, can't be meant */
export function operatorOf(setting: AssentSetting<Definitions>): Operator {
  try {
    const participants = openParticipants(setting, nodeWorld, () => undefined)
    if (participants.size === 0) throw wrong('the configuration has no participants')
    return new Operator({ app: setting.app, participants, world: nodeWorld })
  } catch (error) {
    if (error instanceof AssentError) throw wrong(error.message)
    throw error
  }
}

function hasFlags({ config, app, participant, schema }: ConfigurationFlags): boolean {
  const isByFlags = app !== undefined || participant !== undefined || schema !== undefined
  if (isByFlags && config !== undefined) {
    throw new CommandError(
      'usage',
      '--config contradicts --app, --participant and --schema: give the file, or the flags',
    )
  }
  return isByFlags
}

async function ofFlags({
  app,
  participant,
  schema,
}: ConfigurationFlags): Promise<AssentSetting<Definitions>> {
  if (app === undefined || participant === undefined) {
    throw new CommandError(
      'usage',
      'without a configuration file, both are needed: --app NAME and --participant NAME=URL',
    )
  }
  return { app, participants: await definitionsOf(readUrls(participant, schema), process.cwd()) }
}

/** What `--participant` was given. @throws CommandError */
export function readUrls(
  given: readonly string[],
  schema: string | undefined,
): Readonly<Record<string, UrlParticipant>> {
  const urls: Record<string, UrlParticipant> = {}
  for (const text of given) {
    const [, name, url] = /^([^=]+)=(.+)$/s.exec(text) ?? []
    if (name === undefined || url === undefined) {
      throw new CommandError('usage', '--participant expects NAME=URL, or NAME=env:VARIABLE')
    }
    if (Object.hasOwn(urls, name)) {
      throw new CommandError('usage', `--participant was given twice for ${name}`)
    }
    urls[name] = { url, schema }
  }
  return urls
}

function fileOf(given: string | undefined): string {
  if (given !== undefined) {
    const file = path.resolve(given)
    if (existsSync(file)) return file
    throw wrong(`${given} is not there`)
  }
  const [found, another] = FILES.filter((file) => existsSync(file))
  if (found === undefined) {
    throw wrong(
      `no assent.config.{ts,js,mjs,json} is in ${process.cwd()}. Go where it is, say --config FILE, ` +
        'or --app NAME --participant NAME=URL',
    )
  }
  if (another === undefined) return path.resolve(found)
  throw wrong(`both ${found} and ${another} are here: say --config FILE`)
}

async function ofFile(file: string): Promise<AssentSetting<Definitions>> {
  const shown = path.relative('', file)
  if (file.endsWith('.json')) return ofJson(shown, readJson(shown, file), path.dirname(file))
  let given: unknown
  try {
    const module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
    given = module.default
    if (typeof given === 'function') given = await (given as () => unknown)()
  } catch (error) {
    throw wrong(`${shown} could not be loaded: ${firstLine(error)}`)
  }
  if (isObject(given) && typeof given['transaction'] === 'function') {
    throw wrong(
      `${shown} exports what createAssent() returned. Export what is given to it: ` +
        'export default defineConfig({ app, participants })',
    )
  }
  if (!isObject(given) || typeof given['app'] !== 'string' || !isObject(given['participants'])) {
    throw wrong(
      `${shown} has no default export with \`app\` and \`participants\`. Expected ` +
        'export default defineConfig({ app, participants })',
    )
  }
  return given as unknown as AssentSetting<Definitions>
}

function readJson(shown: string, file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    // The parser quotes what it stumbled over: that may be a password.
    const what = error instanceof SyntaxError ? 'it is no JSON' : firstLine(error)
    throw wrong(`${shown} could not be loaded: ${what}`)
  }
}

const JSON_FIELDS = ['app', 'participants', 'decider', 'retentionMs']
const JSON_PARTICIPANT = ['url', 'schema', 'failover']

async function ofJson(
  shown: string,
  given: unknown,
  folder: string,
): Promise<AssentSetting<Definitions>> {
  if (!isObject(given) || typeof given['app'] !== 'string' || !isObject(given['participants'])) {
    throw wrong(
      `${shown} is not as expected: { "app": "shop", "participants": { "orders": "env:ORDERS_URL" } }`,
    )
  }
  refuseOthers(shown, given, JSON_FIELDS)
  const participants: Record<string, UrlParticipant> = {}
  for (const [name, value] of Object.entries(given['participants'])) {
    const fields = typeof value === 'string' ? { url: value } : value
    if (!isObject(fields) || typeof fields['url'] !== 'string') {
      throw wrong(`${shown}: participant ${name} is neither a URL nor { "url": … }`)
    }
    refuseOthers(`${shown}, participant ${name}`, fields, JSON_PARTICIPANT)
    participants[name] = fields as unknown as UrlParticipant
  }
  const { app, participants: _participants, ...rest } = given
  const definitions = await definitionsOf(participants, folder)
  return { ...rest, app: app, participants: definitions }
}

function refuseOthers(where: string, given: object, known: readonly string[]): void {
  const other = Object.keys(given).find((name) => !known.includes(name))
  if (other === undefined) return
  throw wrong(`${where} has the unknown field ${JSON.stringify(other)}. Known: ${known.join(', ')}`)
}

async function definitionsOf(
  given: Readonly<Record<string, UrlParticipant>>,
  folder: string,
): Promise<Definitions> {
  const definitions: Record<string, ParticipantDefinition<unknown>> = {}
  for (const [name, participant] of Object.entries(given)) {
    try {
      definitions[name] = await participantOf(name, participant, folder)
    } catch (error) {
      if (error instanceof AssentError) throw wrong(`participant ${name}: ${error.message}`)
      throw error
    }
  }
  return definitions
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0] ?? ''
}

function wrong(message: string): CommandError {
  return new CommandError('configuration', message)
}
